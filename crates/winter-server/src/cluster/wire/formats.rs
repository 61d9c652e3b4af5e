//! Messages between members, byte by byte: nodes of two versions serve beside each
//! other while a cluster is updated.

use std::fmt::Debug;

use winter_core::cluster::Attributes;
use winter_core::fault::Kind;
use winter_core::store::TableId;
use winter_testkit::hex;

use super::keys::{Data, Op, WORDS};
use super::*;

/// What to do about other bytes: a variant or a field that is added at the end adds
/// a line here and changes none.
const ADD: &str = "a message has changed: variants and fields are only added, at the end \
                   (docs/decisions/0012)";

/// Asserts that `message` is written as these bytes, and these are read as it.
#[track_caller]
fn pinned<T: Debug + PartialEq + Serialize + for<'a> Deserialize<'a>>(message: &T, bytes: &str) {
    let written = encode(message);
    assert_eq!(hex(&written), bytes, "{message:?}: {ADD}");
    assert_eq!(decode::<T>(&written).as_ref(), Some(message));
}

/// The same of a message that borrows from its bytes.
#[track_caller]
fn pinned_ask(message: &Ask<'_>, bytes: &str) {
    let written = encode(message);
    assert_eq!(hex(&written), bytes, "{message:?}: {ADD}");
    assert_eq!(decode::<Ask<'_>>(&written).as_ref(), Some(message));
}

fn address(number: u64) -> Address {
    format!("winter-{number}:6062").parse().expect("an address")
}

fn profile() -> Profile {
    Profile {
        attributes: Attributes { address: address(1), name: "pod".to_owned() },
        client_address: "winter-1:6060".parse().expect("an address"),
        format: 1,
    }
}

fn table() -> TableRef {
    TableRef { id: TableId(300), slot: 7 }
}

fn new_table() -> NewTable {
    let options = Options {
        bytes_max: Some(300),
        entries_max: None,
        value_bytes_max: Some(1),
        ttl: Some(2),
        once: true,
    };
    NewTable { table: table(), name: "t".to_owned(), options }
}

#[test]
fn commands_on_keys_have_these_bytes() {
    let data = Data { data: b"v", ttl: 300 };
    for (op, bytes) in [
        (Op::Get, "00010174016b00"),
        (Op::Gets, "00010174016b01"),
        (Op::Ttl, "00010174016b02"),
        (Op::PutNew(data), "00010174016b030176ac02"),
        (Op::Add(data), "00010174016b040176ac02"),
        (Op::Put(data), "00010174016b050176ac02"),
        (Op::Cas(9, data), "00010174016b06090176ac02"),
        (Op::Delete(None), "00010174016b0700"),
        (Op::Delete(Some(9)), "00010174016b070109"),
        (Op::Touch(300, None), "00010174016b08ac0200"),
        (Op::Touch(0, Some(9)), "00010174016b08000109"),
    ] {
        pinned_ask(&Ask::Keys(vec![Command { table: "t", key: b"k", op }]), bytes);
    }
}

#[test]
fn what_is_asked_of_a_leader_has_these_bytes() {
    let scan = Ask::Scan { table: "t", from: 300, prefix: b"p", count: 10 };
    let get = Command { table: "t", key: b"k", op: Op::Get };
    for (ask, bytes) in [
        (Ask::Create(new_table()), "01ac0207017401ac02000101010201"),
        (Ask::Drop(table()), "02ac0207"),
        (Ask::Count("t"), "030174"),
        (Ask::Holdings("t"), "040174"),
        (scan, "050174ac0201700a"),
        (Ask::LongKeys { room: 300, commands: vec![get] }, "06ac02010174016b00"),
    ] {
        pinned_ask(&ask, bytes);
    }
}

#[test]
fn what_a_leader_answers_has_these_bytes() {
    let data = || Bytes::from_static(b"v");
    for (answer, bytes) in [
        (Answer::Word(1), "000001"),
        (Answer::WordVersion(1, 300), "000101ac02"),
        (Answer::Data(data()), "00020176"),
        (Answer::VersionData(300, data()), "0003ac020176"),
        (Answer::Nil, "0004"),
        (Answer::Integer(300), "0005ac02"),
        (Answer::MissingTable, "0006"),
        (Answer::Fault(3, "full".to_owned()), "0007030466756c6c"),
    ] {
        pinned(&Outcome::Done(answer), bytes);
    }
    pinned(&Outcome::NotDone, "01");
    pinned(&Outcome::Unknown, "02");
    pinned(&Outcome::NeedsRoom(300), "03ac02");
    pinned(&NotDone::NotLeader { leader: Some(NodeId(300)) }, "0001ac02");
    pinned(&NotDone::NoMajority, "01");
    pinned(&NotDone::Declined, "02");
    let held = Held {
        entries: 1,
        bytes: 2,
        allocated: 3,
        operations: 4,
        rejections: 5,
        restarts: 6,
        is_fenced: true,
    };
    pinned(&Some(held), "0101020304050601");
    let scanned = Scanned { next: Some(300), looked_at: 2, keys: vec![ByteBuf::from(*b"k")] };
    pinned(&Ok::<_, Answer>(Some(scanned)), "000101ac020201016b");
}

/// Words and kinds of errors travel as their places in these lists.
#[test]
fn words_and_kinds_keep_their_numbers() {
    assert_eq!(WORDS, ["ok", "added", "exists", "conflict", "never", "internal"], "{ADD}");
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    assert_eq!(
        kinds.join(" "),
        "usage unknown_command limit quota memory binary busy unavailable unknown noauth \
         wrongpass denied refused protocol noproto internal",
        "{ADD}"
    );
}

#[test]
fn probes_and_their_answers_have_these_bytes() {
    let bytes_of_founding = || Bytes::from_static(b"founding");
    let cluster = ClusterId(0x1234);
    for (probe, bytes) in [
        (
            Probe::Founding(profile(), bytes_of_founding()),
            "000d77696e7465722d313a3630363203706f640d77696e7465722d313a363036300108666f756e64696e67",
        ),
        (
            Probe::Join(NodeId(300), profile()),
            "01ac020d77696e7465722d313a3630363203706f640d77696e7465722d313a3630363001",
        ),
        (Probe::Survey, "02"),
        (Probe::Recover(cluster, MetaCommand::Ready(NodeId(300))), "03b42402ac02"),
    ] {
        pinned(&probe, bytes);
    }
    let holding = Holding {
        last_term: 1,
        entries: 2,
        keys: 3,
        voters: vec![[NodeId(4), NodeId(300)].into()],
    };
    for (answer, bytes) in [
        (
            ProbeAnswer::Founding(profile(), bytes_of_founding()),
            "000d77696e7465722d313a3630363203706f640d77696e7465722d313a363036300108666f756e64696e67",
        ),
        (
            ProbeAnswer::Welcome(cluster, [(NodeId(300), address(2))].into()),
            "01b42401ac020d77696e7465722d323a36303632",
        ),
        (ProbeAnswer::NotNow("why".to_owned()), "0203776879"),
        (ProbeAnswer::Gone, "03"),
        (ProbeAnswer::Holds([(GroupId::Meta, holding)].into()), "040100010203010204ac02"),
        (ProbeAnswer::Recovered, "05"),
    ] {
        pinned(&answer, bytes);
    }
}

#[test]
fn what_members_tell_each_other_has_these_bytes() {
    let usage = Usage { entries: 1, bytes: 2 };
    let pulse = Pulse { is_full: true, usage: [(300, usage)].into(), leads: vec![0, 15] };
    for (affair, bytes) in [
        (Affair::Propose(MetaCommand::Ready(NodeId(300))), "0002ac02"),
        (Affair::Pulse(pulse), "010101ac02010202000f"),
        (Affair::Find("t".to_owned()), "020174"),
        (Affair::Leaving("t".to_owned()), "030174"),
        (Affair::Names, "04"),
        (Affair::Usage(300, "t".to_owned()), "05ac020174"),
    ] {
        pinned(&affair, bytes);
    }
    pinned(&usage, "0102");
    let proposed: [(Proposed, &str); 3] = [
        (Ok(MetaReply::Done), "0000"),
        (Err(ProposeFault::NotDone(NotDone::NoMajority)), "010001"),
        (Err(ProposeFault::Unknown), "0101"),
    ];
    for (proposed, bytes) in proposed {
        pinned(&proposed, bytes);
    }
    pinned(&Some(new_table()), "01ac0207017401ac02000101010201");
}
