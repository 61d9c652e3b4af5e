//! The rules, one by one, on machines that are spoken to by hand.

use std::num::NonZeroUsize;
use std::time::Duration;

use winter_core::cluster::founding::{
    Founding, Input, Message, Output, Proposal, Seat, Settings, Standing, Unheard, Verdict, Wait,
};
use winter_core::cluster::{Address, ClusterId, NodeId};
use winter_core::time::Timestamp;

use crate::world::address;

type Answer = Result<Message, Unheard>;

/// A node whose peers are what a test says they are.
struct Node {
    machine: Founding,
    now: u64,
}

impl Node {
    fn new(id: u64, size: Option<usize>) -> Self {
        let settings = Settings::new("app", size.and_then(NonZeroUsize::new));
        let machine = Founding::new(settings, NodeId(id), ClusterId(u128::from(id)));
        Self { machine, now: 0 }
    }

    /// A round a second later. `peers` answer at the slots from 0 on; `None` is
    /// this node itself.
    fn round(&mut self, dns: Option<&[usize]>, peers: &[Option<Answer>]) -> Vec<Output> {
        self.now += 1_000;
        let now = Timestamp::from_millis(self.now);
        let begun = self.machine.handle(Input::Tick(now));
        let [Output::Resolve { round }] = begun[..] else { panic!("no round: {begun:?}") };
        let addresses = dns.map(|slots| slots.iter().copied().map(address).collect());
        let mut outputs = Vec::new();
        for output in self.machine.handle(Input::Resolved { round, addresses }) {
            let Output::Ask { round, address: at, message } = output else { panic!("{output:?}") };
            let slot = (0..peers.len()).find(|slot| address(*slot) == at);
            let answer = match slot.map(|slot| peers[slot].clone()) {
                Some(Some(answer)) => answer,
                Some(None) => Ok(message),
                None => Err(Unheard::Silent),
            };
            outputs.extend(self.machine.handle(Input::Answered {
                round,
                address: at,
                answer,
                now,
            }));
        }
        outputs
    }

    fn asked(&mut self, message: Message) -> Standing {
        let outputs = self.machine.handle(Input::Asked(message));
        match outputs.last() {
            Some(Output::Reply(reply)) => reply.standing.clone(),
            other => panic!("no reply: {other:?}"),
        }
    }
}

fn says(node: u64, standing: Standing) -> Message {
    Message { application: "app".to_owned(), node: NodeId(node), standing }
}

fn fresh(node: u64, ticket: Option<&Proposal>) -> Message {
    says(node, Standing::Fresh { ticket: ticket.cloned() })
}

fn list(attempt: u32, nodes: &[(u64, usize)]) -> Proposal {
    let seat = |(node, slot): &(u64, usize)| Seat { node: NodeId(*node), address: address(*slot) };
    Proposal::new(attempt, nodes.iter().map(seat).collect()).unwrap()
}

fn holds(list: &Proposal) -> Standing {
    Standing::Fresh { ticket: Some(list.clone()) }
}

#[test]
fn one_node_founds_alone_only_where_the_size_is_one() {
    let mut alone = Node::new(1, Some(1));
    let founded = (0..3).any(|_| {
        alone.round(Some(&[0]), &[None]).iter().any(|o| matches!(o, Output::Found { .. }))
    });
    assert!(founded);
    let mut unsure = Node::new(1, None);
    for _ in 0..1_000 {
        assert_eq!(unsure.round(Some(&[0]), &[None]), []);
        assert_eq!(*unsure.machine.waits(), Wait::Alone);
    }
}

#[test]
fn without_a_size_the_list_must_stand_for_the_settling_time() {
    let mut node = Node::new(1, None);
    let peer = Some(Ok(fresh(2, None)));
    for _ in 0..30 {
        node.round(Some(&[0, 1]), &[None, peer.clone()]);
    }
    assert_eq!(node.machine.standing(), Standing::Fresh { ticket: None });
    let told = node.machine.waits().to_string();
    assert!(told.contains("29 of 30 s") && told.contains("WINTER_CLUSTER_SIZE"), "{told}");
    node.round(Some(&[0, 1]), &[None, Some(Ok(fresh(3, None)))]);
    node.round(Some(&[0, 1]), &[None, peer.clone()]);
    assert_eq!(node.machine.standing(), Standing::Fresh { ticket: None }, "another list");
    for _ in 0..30 {
        node.round(Some(&[0, 1]), &[None, peer.clone()]);
    }
    assert_eq!(node.machine.standing(), holds(&list(1, &[(1, 0), (2, 1)])));
}

#[test]
fn an_empty_or_failed_dns_changes_nothing() {
    let mut node = Node::new(1, Some(2));
    let peers = [None, Some(Ok(fresh(2, None)))];
    node.round(Some(&[0, 1]), &peers);
    let before = node.machine.state().clone();
    for dns in [None, Some(&[][..])] {
        assert_eq!(node.round(dns, &peers), []);
        assert_eq!(*node.machine.state(), before);
        assert_eq!(*node.machine.waits(), Wait::Dns);
    }
    node.round(Some(&[0, 1]), &peers);
    assert_eq!(node.machine.standing(), holds(&list(1, &[(1, 0), (2, 1)])));
}

#[test]
fn everyone_listed_must_answer_and_be_fresh_and_the_lowest_founds() {
    let mut node = Node::new(2, Some(2));
    for _ in 0..5 {
        node.round(Some(&[0, 1]), &[None, Some(Err(Unheard::Silent))]);
    }
    assert_eq!(node.machine.waits().to_string(), "waits for 10.0.0.2:6062, which does not answer");
    for _ in 0..5 {
        node.round(Some(&[0, 1]), &[None, Some(Ok(fresh(1, None)))]);
    }
    assert_eq!(*node.machine.waits(), Wait::Founder { node: NodeId(1) });
    node.round(Some(&[0]), &[None]);
    assert_eq!(*node.machine.waits(), Wait::TooFew { found: 1, wanted: 2 });
    for _ in 0..5 {
        node.round(Some(&[0, 1]), &[None, None]);
    }
    assert_eq!(*node.machine.waits(), Wait::TooFew { found: 1, wanted: 2 }, "two of one node");
    node.round(Some(&[1, 2]), &[None, Some(Ok(fresh(3, None))), Some(Ok(fresh(4, None)))]);
    assert_eq!(*node.machine.waits(), Wait::NotListed);
}

#[test]
fn founding_takes_every_ticket_of_exactly_this_list() {
    let mut node = Node::new(1, Some(3));
    let mine = list(1, &[(1, 0), (2, 1), (3, 2)]);
    let other = list(1, &[(1, 0), (3, 2)]);
    let peers = |second: Option<&Proposal>, third: Option<&Proposal>| {
        [None, Some(Ok(fresh(2, second))), Some(Ok(fresh(3, third)))]
    };
    for _ in 0..2 {
        node.round(Some(&[0, 1, 2]), &peers(None, None));
    }
    assert_eq!(node.round(Some(&[0, 1, 2]), &peers(Some(&mine), Some(&other))), []);
    assert_eq!(*node.machine.waits(), Wait::Ticket { node: NodeId(3) });
    let outputs = node.round(Some(&[0, 1, 2]), &peers(Some(&mine), Some(&mine)));
    assert_eq!(outputs, [Output::Found { cluster: ClusterId(1), list: mine.clone() }]);
    let enlisted = Standing::Enlisted { cluster: ClusterId(1), list: mine };
    let peers = [None, Some(Ok(says(2, enlisted.clone()))), Some(Ok(says(3, enlisted)))];
    let outputs = node.round(Some(&[0, 1, 2]), &peers);
    assert_eq!(outputs, [Output::Complete { cluster: ClusterId(1) }]);
    node.machine.handle(Input::Joined { cluster: ClusterId(1), tables: false });
    assert_eq!(*node.machine.waits(), Wait::Nothing);
}

#[test]
fn a_moved_ticket_refuses_the_old_list_for_good() {
    let mut node = Node::new(5, Some(2));
    let old = list(1, &[(1, 0), (5, 1)]);
    let new = list(1, &[(3, 0), (5, 1)]);
    assert_eq!(node.asked(fresh(1, Some(&old))), holds(&old));
    assert_eq!(node.asked(fresh(3, Some(&new))), holds(&old), "its proposer may be there");
    node.round(Some(&[0, 1]), &[Some(Ok(fresh(3, Some(&new)))), None]);
    assert_eq!(node.asked(fresh(3, Some(&new))), holds(&new), "another is at its address");
    assert_eq!(node.asked(fresh(1, Some(&old))), holds(&new));
    let enlisted = Standing::Enlisted { cluster: ClusterId(1), list: old.clone() };
    assert_eq!(node.asked(says(1, enlisted.clone())), holds(&new));
    node.round(Some(&[0, 1]), &[Some(Ok(says(1, enlisted))), None]);
    assert_eq!(node.asked(fresh(1, Some(&old))), holds(&new), "though 3 is gone, too");
}

#[test]
fn a_ticket_is_free_when_its_proposer_is_unlisted_and_out_of_reach_for_long() {
    let other = list(1, &[(3, 2), (5, 1)]);
    let bound = || {
        let mut node = Node::new(5, Some(2));
        node.asked(fresh(1, Some(&list(1, &[(1, 0), (5, 1)]))));
        node
    };
    let silent = || [Some(Err(Unheard::Silent)), None, Some(Ok(fresh(3, None)))];
    let mut gone = bound();
    for _ in 0..30 {
        gone.round(Some(&[1, 2]), &silent());
        assert_ne!(gone.asked(fresh(3, Some(&other))), holds(&other));
    }
    gone.round(Some(&[1, 2]), &silent());
    assert_eq!(gone.asked(fresh(3, Some(&other))), holds(&other));
    for dns in [None, Some(&[0, 1, 2][..])] {
        let mut listed = bound();
        listed.round(Some(&[1, 2]), &silent());
        for _ in 0..100 {
            listed.round(dns, &silent());
        }
        assert_ne!(listed.asked(fresh(3, Some(&other))), holds(&other), "{dns:?}");
    }
}

#[test]
fn a_fresh_node_that_meets_a_member_joins_and_never_founds() {
    let mut node = Node::new(1, Some(2));
    let member = Standing::Member { cluster: ClusterId(9), tables: true };
    let peers = [None, Some(Ok(says(2, member)))];
    for _ in 0..3 {
        let join = Output::Join { cluster: ClusterId(9), through: address(1) };
        assert_eq!(node.round(Some(&[0, 1]), &peers), [join]);
    }
    let asked = list(1, &[(0, 2), (1, 0)]);
    assert_eq!(node.asked(fresh(0, Some(&asked))), Standing::Fresh { ticket: None });
    node.machine.handle(Input::Joined { cluster: ClusterId(9), tables: true });
    assert_eq!(node.round(Some(&[0, 1]), &peers), []);
}

#[test]
fn nodes_of_another_application_or_version_are_refused_and_named() {
    let mut node = Node::new(2, Some(2));
    let stranger = Message { application: "other".to_owned(), ..fresh(1, None) };
    for (answer, told) in [
        (
            Ok(stranger.clone()),
            "is a node of another application: it is of \"other\", this node of \"app\"",
        ),
        (
            Err(Unheard::Version(7)),
            "speaks version 7 of the peer protocol, and this node version 1",
        ),
        (Err(Unheard::Malformed), "answers what no node says"),
    ] {
        let outputs = node.round(Some(&[0, 1]), &[None, Some(answer)]);
        let [Output::Refused { address: Some(at), why }] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!((at, why.to_string().as_str()), (&address(1), told));
        assert!(node.machine.waits().to_string().ends_with(told));
    }
    let request =
        Message { application: "other".to_owned(), ..fresh(1, Some(&list(1, &[(1, 0), (2, 1)]))) };
    assert_eq!(node.asked(request), Standing::Fresh { ticket: None });
}

#[test]
fn two_clusters_that_see_each_other_say_so_and_come_to_one_verdict() {
    let meets = |mine: (u64, bool), theirs: (u64, bool)| {
        let mut node = Node::new(1, Some(2));
        let cluster = |id| ClusterId(u128::from(id));
        node.machine.handle(Input::Joined { cluster: cluster(mine.0), tables: mine.1 });
        let member = Standing::Member { cluster: cluster(theirs.0), tables: theirs.1 };
        match &node.round(Some(&[0, 1]), &[None, Some(Ok(says(2, member)))])[..] {
            [Output::Rival { verdict, .. }] => *verdict,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(meets((1, false), (2, false)), Verdict::Stays);
    assert_eq!(meets((2, false), (1, false)), Verdict::Yields);
    assert_eq!(meets((2, true), (1, false)), Verdict::Stays);
    assert_eq!(meets((1, false), (2, true)), Verdict::Yields);
    assert_eq!(meets((1, true), (2, true)), Verdict::Undecided);
}

#[test]
fn answers_to_an_earlier_round_do_not_count_and_a_round_ends_without_them() {
    let mut node = Node::new(1, Some(2));
    let begun = node.machine.handle(Input::Tick(Timestamp::from_millis(1)));
    assert_eq!(begun, [Output::Resolve { round: 1 }]);
    let late = Timestamp::from_millis(31_000);
    assert_eq!(node.machine.handle(Input::Tick(Timestamp::from_millis(30_000))), []);
    node.machine.handle(Input::Tick(late));
    let addresses = Some(vec![address(0)]);
    assert_eq!(node.machine.handle(Input::Resolved { round: 1, addresses }), []);
    node.now = 40_000;
    node.round(Some(&[0]), &[None]);
    let before = node.machine.state().clone();
    let answer = Ok(fresh(2, None));
    let input = Input::Answered { round: 1, address: address(0), answer, now: late };
    assert_eq!(node.machine.handle(input), []);
    assert_eq!(*node.machine.state(), before);
}

#[test]
fn messages_are_read_back_and_nothing_else_is_read() {
    let list = list(3, &[(1, 0), (2, 1)]);
    for standing in [
        Standing::Fresh { ticket: None },
        holds(&list),
        Standing::Enlisted { cluster: ClusterId(4), list },
        Standing::Member { cluster: ClusterId(u128::MAX), tables: true },
    ] {
        let bytes = says(7, standing.clone()).to_bytes();
        assert_eq!(Message::from_bytes(&bytes), Ok(says(7, standing)));
        for end in 2..bytes.len() {
            assert_eq!(Message::from_bytes(&bytes[..end]), Err(Unheard::Malformed), "{end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(Message::from_bytes(&longer), Err(Unheard::Malformed));
    }
    assert_eq!(Message::from_bytes(&[0, 2, 0xff]), Err(Unheard::Version(2)));
    let twice = (3_u32, vec![(NodeId(1), "a:1"), (NodeId(1), "b:1")]);
    let bytes = postcard::to_stdvec(&twice).unwrap();
    assert!(postcard::from_bytes::<Proposal>(&bytes).is_err());
}

#[test]
fn every_wait_has_a_label_of_the_list() {
    let address: Address = address(0);
    let waits = [
        Wait::Dns,
        Wait::TooFew { found: 1, wanted: 3 },
        Wait::TooMany { listed: 300 },
        Wait::Alone,
        Wait::NotListed,
        Wait::Address { address, why: Unheard::Silent },
        Wait::Settling { stood: Duration::ZERO, settling: Duration::ZERO },
        Wait::Founder { node: NodeId(1) },
        Wait::Ticket { node: NodeId(1) },
        Wait::OwnTicket { proposer: NodeId(1) },
        Wait::Opening { cluster: ClusterId(1) },
        Wait::Join { cluster: ClusterId(1) },
        Wait::Nothing,
    ];
    let labels: Vec<_> = waits.iter().map(Wait::label).collect();
    assert_eq!(labels, Wait::LABELS);
    assert!(waits.iter().all(|wait| wait.to_string().starts_with("waits for")
        || wait.to_string().starts_with("waits to")));
}
