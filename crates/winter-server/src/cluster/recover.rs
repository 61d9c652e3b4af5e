//! Going on after a majority was lost, at an operator's word. What it means
//! stands in `winter_core::cluster::recovery`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::{self, FIRST_INCARNATION, MetaCommand, MetaReply};
use winter_core::cluster::recovery::{Fate, Holding, NoPlan, Plan, Survey};
use winter_core::cluster::replica::Replica;
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId, PartitionId};
use winter_core::store::first_version;

use super::groups::Carrier;
use super::machines::DataMachine;
use super::wire::{self, Probe, ProbeAnswer};
use super::{Cluster, Inner};
use crate::consensus::{Group, Machine, StartError};

/// How long a member may take to say what it holds, or to do as it is told.
const ASK_MAX: Duration = Duration::from_secs(3);
/// How long a group may take to lead itself.
const LEAD_MAX: Duration = Duration::from_secs(10);
/// How often a member is told.
const TELL_TIMES: usize = 3;

/// Why nothing was recovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// There is no plan any more.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// What would be done is not what was shown.
    #[error("the plan has changed: other nodes are in reach than before; look at it again")]
    Changed,
    /// The one that has to begin did not. Nothing was done, but perhaps by that node.
    #[error("the node {0} has to begin and did not: {1}")]
    Heir(NodeId, String),
}

impl Cluster {
    /// What a recovery would do, in lines, and the name of that plan.
    ///
    /// # Errors
    /// [`NoPlan`].
    pub async fn plan_recovery(&self) -> Result<(String, Vec<String>), NoPlan> {
        let plan = self.0.plan().await?;
        Ok((plan.token(), self.0.tell_of(&plan)))
    }

    /// Recovers as the plan of this name says: what came of it, in lines.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub async fn recover(&self, token: &str) -> Result<Vec<String>, RecoverError> {
        let plan = self.0.plan().await?;
        if plan.token() != token {
            return Err(RecoverError::Changed);
        }
        let (inner, done) = (Arc::clone(&self.0), oneshot::channel());
        // It is seen through, whether or not somebody waits for it.
        self.0.control.spawn(async move {
            let _ = done.0.send(inner.carry_out(plan).await);
        });
        let stopping = |_| RecoverError::NoPlan(NoPlan::NoCluster);
        done.1.await.map_err(stopping)?
    }
}

impl Inner {
    async fn plan(self: &Arc<Self>) -> Result<Plan, NoPlan> {
        let survey = self.survey_members().await;
        let meta = self.hosted.meta().ok_or(NoPlan::NoCluster)?;
        meta.machine(|machine| Plan::of(machine.meta(), &survey))
    }

    /// What every member that can be reached holds.
    async fn survey_members(&self) -> Survey {
        let map = self.map();
        let ask = |(&node, (address, _)): (&NodeId, &(Address, _))| {
            let address = address.clone();
            async move {
                if node == self.me {
                    return Some((node, self.holdings()));
                }
                let deadline = Instant::now() + ASK_MAX;
                let probed = self.peers().probe(&address, wire::encode(&Probe::Survey), deadline);
                // Whoever is there now may be somebody else, who knows nothing.
                let probed = probed.await.ok().filter(|probed| probed.node == node)?;
                match wire::decode(&probed.body) {
                    Some(ProbeAnswer::Holds(holdings)) => Some((node, holdings)),
                    _ => None,
                }
            }
        };
        join_all(map.members.iter().map(ask)).await.into_iter().flatten().collect()
    }

    /// What this node holds of each group.
    pub(super) fn holdings(&self) -> BTreeMap<GroupId, Holding> {
        fn holding<M: Machine>(group: &Group<M>, keys: impl FnOnce(&M) -> u64) -> Holding {
            let status = group.status();
            let (last_term, entries, voters) =
                (status.last_term, status.entries, status.voter_sets);
            Holding { last_term, entries, keys: group.machine(keys), voters }
        }
        let data = self.hosted.all_data().into_iter().map(|(partition, group)| {
            let keys = |machine: &DataMachine| {
                machine.with(|replica| {
                    replica.partition().all_holdings().map(|(_, held)| held.entries).sum()
                })
            };
            (GroupId::Data(partition), holding(&group, keys))
        });
        let tables = |machine: &super::machines::MetaMachine| {
            u64::try_from(machine.meta().table_names().count()).unwrap_or(u64::MAX)
        };
        let meta = self.hosted.meta().map(|group| (GroupId::Meta, holding(&group, tables)));
        data.chain(meta).collect()
    }

    fn tell_of(&self, plan: &Plan) -> Vec<String> {
        let mut lines = vec![format!(
            "cluster {} lost {} groups {}",
            plan.cluster,
            plan.lost.len(),
            plan.fates.len()
        )];
        let map = self.map();
        for node in &plan.lost {
            let heard = self.life.lock().silence(*node);
            let heard = heard.map_or("never".to_owned(), |ago| format!("{}s", ago.as_secs()));
            let mut line = format!("lost {node} heard {heard}");
            if let Some((address, _)) = map.members.get(node) {
                // Strings take all that is written to them.
                let _ = write!(line, " peers {address}");
            }
            lines.push(line);
        }
        let fate = |(id, fate): (&GroupId, &Fate)| match id {
            GroupId::Meta => format!("tables and members: {}", fate.sentence("tables")),
            GroupId::Data(partition) => format!("partition {partition}: {}", fate.sentence("keys")),
        };
        lines.extend(plan.fates.iter().map(fate));
        lines
    }

    /// Tells everyone who is left: first the one that goes on with the meta group.
    async fn carry_out(self: Arc<Self>, plan: Plan) -> Result<Vec<String>, RecoverError> {
        let cluster =
            ClusterId(u128::from(self.entropy.draw()) << 64 | u128::from(self.entropy.draw()));
        let (from, command) = (plan.cluster, plan.command(cluster));
        tracing::warn!(%from, %cluster, plan = plan.token(), "recovering at an operator's word");
        let told = |told| RecoverError::Heir(plan.heir, told);
        self.order(plan.heir, from, &command).await.map_err(told)?;
        let map = self.map();
        let others = map.nodes().into_iter().filter(|n| *n != plan.heir && !plan.lost.contains(n));
        let told = others.map(|node| {
            let (inner, command) = (&self, &command);
            async move { (node, inner.order(node, from, command).await) }
        });
        let mut lines = vec![format!("cluster {cluster}"), format!("node {} goes on", plan.heir)];
        for (node, told) in join_all(told).await {
            lines.push(match told {
                Ok(()) => format!("node {node} goes on"),
                Err(why) => format!("node {node} does not, start it anew: {why}"),
            });
        }
        Ok(lines)
    }

    async fn order(
        self: &Arc<Self>,
        node: NodeId,
        from: ClusterId,
        command: &MetaCommand,
    ) -> Result<(), String> {
        if node == self.me {
            return self.follow(from, command.clone()).await;
        }
        let Some((address, _)) = self.map().members.get(&node).cloned() else {
            return Err("it is no member".to_owned());
        };
        let mut why = String::new();
        for _ in 0..TELL_TIMES {
            let probe = wire::encode(&Probe::Recover(from, command.clone()));
            let deadline = Instant::now() + LEAD_MAX + ASK_MAX;
            match self.peers().probe(&address, probe, deadline).await {
                Ok(probed) if probed.node != node => return Err("it was started anew".to_owned()),
                Ok(probed) => match wire::decode(&probed.body) {
                    Some(ProbeAnswer::Recovered) => return Ok(()),
                    Some(ProbeAnswer::NotNow(told)) => why = told,
                    _ => return Err("it answers what no node says".to_owned()),
                },
                Err(error) => why = error.to_string(),
            }
            sleep(super::life::STEP).await;
        }
        Err(why)
    }

    /// Does this node's part of a recovery. It may be told again.
    pub(super) async fn follow(
        self: &Arc<Self>,
        from: ClusterId,
        command: MetaCommand,
    ) -> Result<(), String> {
        let MetaCommand::Recover { cluster, heirs, .. } = &command else {
            return Err("this is no recovery".to_owned());
        };
        let (cluster, known) = (*cluster, self.map().cluster);
        if known == Some(cluster) || self.life.lock().expects == Some(cluster) {
            return Ok(());
        }
        if known != Some(from) {
            return Err("this node is of another cluster".to_owned());
        }
        tracing::warn!(%from, %cluster, "this node goes on in a recovered cluster");
        self.life.lock().expects = Some(cluster);
        let done = self.inherit(heirs.iter().filter(|(_, node)| **node == self.me)).await;
        let done = match done {
            Ok(true) => self.begin_with(&command).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = &done {
            tracing::error!(why, "this node did not do its part of a recovery");
            self.life.lock().expects = None;
            return done;
        }
        // Replicas that another node goes on with are of the cluster that was.
        let is_mine = |partition| heirs.get(&GroupId::Data(partition)) == Some(&self.me);
        for (partition, _) in self.hosted.all_data() {
            if !is_mine(partition) {
                self.let_go(partition).await;
            }
        }
        self.peers().set_cluster(Some(cluster));
        Ok(())
    }

    /// Goes on alone with what this node inherits: whether the meta group is among it.
    async fn inherit(
        self: &Arc<Self>,
        heirs: impl Iterator<Item = (&GroupId, &NodeId)>,
    ) -> Result<bool, StartError> {
        let mut meta = None;
        for (group, _) in heirs {
            let GroupId::Data(partition) = *group else {
                meta = self.hosted.take_meta();
                continue;
            };
            let (inner, (done, began)) = (Arc::clone(self), oneshot::channel());
            self.runtime_of(partition).spawn(async move {
                // Whoever asked is there until it is answered.
                let _ = done.send(inner.inherit_partition(partition).await);
            });
            began.await.map_err(|_| StartError("its runtime has stopped".to_owned()))??;
        }
        let Some(former) = meta else { return Ok(false) };
        self.hosted.put_meta(self.alone(&former).await?);
        Ok(true)
    }

    async fn inherit_partition(self: &Arc<Self>, partition: PartitionId) -> Result<(), StartError> {
        let former = self.hosted.take_data(partition).filter(|held| held.status().entries > 0);
        let group = match former {
            Some(former) => self.alone(&former).await?,
            None => {
                tracing::warn!(%partition, "no replica is left; the partition begins anew");
                let seed = self.map().seed.unwrap_or(self.seed);
                let replica = Replica::new(seed, first_version(self.node.clock.now()));
                let machine = DataMachine::new(replica, Arc::clone(&self.host));
                let id = GroupId::Data(partition);
                let group = Group::start(self.start_of(id, FIRST_INCARNATION, machine)).await?;
                if let Err(error) = group.initialize(&[(self.me, self.own_address())]).await {
                    tracing::error!(%partition, %error, "a partition did not begin anew");
                }
                group
            }
        };
        self.hosted.put_data(partition, group);
        Ok(())
    }

    async fn alone<M: Machine>(&self, former: &Group<M>) -> Result<Group<M>, StartError> {
        let clock = self.node.clock;
        let carrier = Arc::new(Carrier(self.peers().clone()));
        former.go_on_alone(&self.own_address(), carrier, Box::new(move || clock.now())).await
    }

    /// Where this node's peers reach it, as they know it.
    fn own_address(&self) -> Address {
        let known = self.map().members.get(&self.me).map(|(address, _)| address.clone());
        known.unwrap_or_else(|| self.profile.attributes.address.clone())
    }

    /// Commits the recovery in the meta group, which this node goes on with.
    async fn begin_with(&self, command: &MetaCommand) -> Result<(), String> {
        let deadline = Instant::now() + LEAD_MAX;
        let Some(group) = self.hosted.meta() else { return Err("the node stops".to_owned()) };
        loop {
            let packed = meta::pack(self.node.clock.now(), command);
            match group.propose(packed.into()).await {
                Ok(MetaReply::Done | MetaReply::Already) => return Ok(()),
                Ok(reply) => return Err(format!("the meta group answers {reply:?}")),
                Err(error) if Instant::now() > deadline => return Err(error.to_string()),
                Err(_) => sleep(super::life::STEP).await,
            }
        }
    }
}
