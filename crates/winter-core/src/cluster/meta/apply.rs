//! What the commands of the meta group do. Each checks first and changes after.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Founding, Group, MEMBER_NAME_BYTES_MAX, MEMBERS_GONE_MAX, MEMBERS_MAX, Member,
    MemberState, Meta, MetaCommand, MetaReply, MetaTable, PARTITIONS_MAX, Profile, REPLICAS_MAX,
    Refusal, Swap, TableState,
};
use crate::cluster::entry::TableRef;
use crate::cluster::{ClusterId, GroupId, NodeId, PartitionId};
use crate::command::TableOptions;
use crate::limits::TABLES_MAX;
use crate::name::table_name;
use crate::store::TableId;
use crate::time::Timestamp;

type Outcome = Result<MetaReply, Refusal>;

impl Meta {
    /// Does `command` at `at`, its leader's stamp. Time never goes back.
    pub fn apply(&mut self, at: Timestamp, command: &MetaCommand) -> MetaReply {
        let before = self.clock;
        self.clock = before.max(at);
        match self.outcome(command) {
            Ok(reply) => {
                let changed = match reply {
                    MetaReply::Done => true,
                    MetaReply::Already => false,
                    MetaReply::Table { is_new, .. } | MetaReply::Planned { is_new, .. } => is_new,
                    MetaReply::Refused(_) => unreachable!("a refusal is an error here"),
                };
                if changed {
                    self.revision += 1;
                } else {
                    self.clock = before;
                }
                reply
            }
            Err(refusal) => {
                self.clock = before;
                MetaReply::Refused(refusal)
            }
        }
    }

    fn outcome(&mut self, command: &MetaCommand) -> Outcome {
        if let MetaCommand::Found {
            cluster,
            partitions,
            replicas,
            secret,
            format,
            members,
            groups,
        } = command
        {
            let (cluster, partitions, replicas) = (*cluster, *partitions, *replicas);
            let (at, secret) = (self.clock, *secret);
            let founding = Founding { cluster, at, partitions, replicas, secret };
            return self.found(founding, *format, members, groups);
        }
        if self.founding.is_none() {
            return Err(Refusal::NotFounded);
        }
        match *command {
            MetaCommand::Found { .. } => unreachable!("was done above"),
            MetaCommand::Join { node, ref profile } => self.join(node, profile),
            MetaCommand::Ready(node) => {
                self.advance(node, MemberState::Up, &[MemberState::Joining])
            }
            MetaCommand::Leave(node) => {
                let from = [MemberState::Joining, MemberState::Up];
                self.advance(node, MemberState::Leaving, &from)
            }
            MetaCommand::Dead(node) => self.bury(node),
            MetaCommand::RaiseFormat(format) => self.raise_format(format),
            MetaCommand::CreateTable { ref name, options } => self.create_table(name, options),
            MetaCommand::OpenTable(id) => self.open_table(id),
            MetaCommand::DropTable(id) => self.drop_table(id),
            MetaCommand::ReleaseTable(id) => self.release_table(id),
            MetaCommand::ReviveTable(id) => self.revive_table(id),
            MetaCommand::PlanMove { group, swap } => self.plan_move(group, swap),
            MetaCommand::FinishMove { group, number } => self.end_move(group, number, true),
            MetaCommand::AbandonMove { group, number } => self.end_move(group, number, false),
            MetaCommand::Recover { cluster, ref lost, ref heirs, begins_anew } => {
                self.recover(cluster, lost, heirs, begins_anew)
            }
            MetaCommand::Dissolve(into) => self.dissolve(into),
        }
    }

    fn found(
        &mut self,
        founding: Founding,
        format: u16,
        members: &BTreeMap<NodeId, Profile>,
        groups: &BTreeMap<GroupId, BTreeSet<NodeId>>,
    ) -> Outcome {
        match self.founding {
            Some(stands) if stands.cluster == founding.cluster => return Ok(MetaReply::Already),
            Some(stands) => return Err(Refusal::Founded(stands.cluster)),
            None => {}
        }
        if !is_whole(&founding, members, groups) {
            return Err(Refusal::BadFounding);
        }
        for profile in members.values() {
            check_profile(profile, format)?;
        }
        let state = MemberState::Up;
        let member =
            |profile: &Profile| Member { profile: profile.clone(), state, since: founding.at };
        self.members = members.iter().map(|(&node, profile)| (node, member(profile))).collect();
        self.groups = groups
            .iter()
            .map(|(&group, voters)| (group, Group { voters: voters.clone(), change: None }))
            .collect();
        self.format = format;
        self.founding = Some(founding);
        Ok(MetaReply::Done)
    }

    fn join(&mut self, node: NodeId, profile: &Profile) -> Outcome {
        if self.is_gone(node) {
            return Err(Refusal::Gone(node));
        }
        if let Some(member) = self.members.get(&node) {
            return if member.profile == *profile {
                Ok(MetaReply::Already)
            } else {
                Err(Refusal::IdTaken(node))
            };
        }
        self.goes_on()?;
        if self.members.len() >= MEMBERS_MAX {
            return Err(Refusal::MembersFull);
        }
        check_profile(profile, self.format)?;
        let (profile, state, since) = (profile.clone(), MemberState::Joining, self.clock);
        self.members.insert(node, Member { profile, state, since });
        Ok(MetaReply::Done)
    }

    fn dissolve(&mut self, into: ClusterId) -> Outcome {
        if self.dissolved.is_some() {
            return Ok(MetaReply::Already);
        }
        if !self.tables.is_empty() {
            return Err(Refusal::HasTables);
        }
        self.dissolved = Some(into);
        Ok(MetaReply::Done)
    }

    /// Whether it takes in what is new.
    fn goes_on(&self) -> Result<(), Refusal> {
        self.dissolved.map_or(Ok(()), |into| Err(Refusal::Dissolved(into)))
    }

    fn advance(&mut self, node: NodeId, to: MemberState, from: &[MemberState]) -> Outcome {
        if self.is_gone(node) {
            return Err(Refusal::Gone(node));
        }
        let member = self.members.get_mut(&node).ok_or(Refusal::UnknownMember(node))?;
        if member.state == to {
            return Ok(MetaReply::Already);
        }
        if !from.contains(&member.state) {
            return Err(Refusal::WrongState(member.state));
        }
        (member.state, member.since) = (to, self.clock);
        Ok(MetaReply::Done)
    }

    fn bury(&mut self, node: NodeId) -> Outcome {
        if self.is_gone(node) {
            return Ok(MetaReply::Already);
        }
        let member = self.members.get_mut(&node).ok_or(Refusal::UnknownMember(node))?;
        (member.state, member.since) = (MemberState::Dead, self.clock);
        self.forget(node);
        Ok(MetaReply::Done)
    }

    /// Keeps no more than the identity of a dead member that no group counts.
    fn forget(&mut self, node: NodeId) {
        let Some(member) = self.members.get(&node) else { return };
        if member.state != MemberState::Dead || self.groups.values().any(|g| g.names(node)) {
            return;
        }
        self.gone.insert(node, member.since.as_millis());
        self.members.remove(&node);
        if self.gone.len() > MEMBERS_GONE_MAX {
            let oldest = self.gone.iter().min_by_key(|&(node, since)| (since, node));
            let oldest = *oldest.expect("there are many").0;
            self.gone.remove(&oldest);
        }
    }

    fn raise_format(&mut self, format: u16) -> Outcome {
        if format <= self.format {
            return Ok(MetaReply::Already);
        }
        let live = self.members.values().filter(|member| member.state != MemberState::Dead);
        let newest = live.map(|member| member.profile.format).min().unwrap_or(self.format);
        if newest < format {
            return Err(Refusal::Unspoken { format, newest });
        }
        self.format = format;
        Ok(MetaReply::Done)
    }

    fn create_table(&mut self, name: &str, options: TableOptions) -> Outcome {
        if let Some(stands) = self.table(name) {
            return Ok(answer(stands, false));
        }
        self.goes_on()?;
        if table_name(name.as_bytes()).is_err() {
            return Err(Refusal::BadName);
        }
        if self.tables.len() >= TABLES_MAX {
            return Err(Refusal::TablesFull);
        }
        self.last_table += 1;
        let table = TableRef { id: TableId(self.last_table), slot: self.index.slots.take() };
        let (name, state, since) = (name.to_owned(), TableState::Opening, self.clock);
        self.index.by_name.insert(name.clone(), table.id);
        let table = MetaTable { table, name, options, state, since, revivals: 0 };
        let reply = answer(&table, true);
        self.index.note(&table);
        self.tables.insert(table.table.id, table);
        Ok(reply)
    }

    fn open_table(&mut self, id: TableId) -> Outcome {
        let clock = self.clock;
        let table = self.tables.get_mut(&id).ok_or(Refusal::MissingTable)?;
        match table.state {
            TableState::Opening => {
                (table.state, table.since) = (TableState::Open, clock);
                self.index.note(table);
                Ok(answer(table, true))
            }
            TableState::Open => Ok(answer(table, false)),
            TableState::Dropping => Err(Refusal::WrongTableState(table.state)),
        }
    }

    fn drop_table(&mut self, id: TableId) -> Outcome {
        let clock = self.clock;
        let table = self.tables.get_mut(&id).ok_or(Refusal::MissingTable)?;
        if table.state == TableState::Dropping {
            return Ok(answer(table, false));
        }
        (table.state, table.since) = (TableState::Dropping, clock);
        self.index.by_name.remove(&table.name);
        self.index.note(table);
        Ok(answer(table, true))
    }

    fn release_table(&mut self, id: TableId) -> Outcome {
        match self.tables.get(&id).map(|table| (table.state, table.table.slot)) {
            Some((TableState::Dropping, slot)) => {
                self.tables.remove(&id);
                self.index.forget(id, slot);
                Ok(MetaReply::Done)
            }
            Some((state, _)) => Err(Refusal::WrongTableState(state)),
            None if id.0 <= self.last_table => Ok(MetaReply::Already),
            None => Err(Refusal::MissingTable),
        }
    }

    fn revive_table(&mut self, id: TableId) -> Outcome {
        let table = self.tables.get_mut(&id).ok_or(Refusal::MissingTable)?;
        if table.state == TableState::Dropping {
            return Err(Refusal::MissingTable);
        }
        table.revivals += 1;
        self.index.note(table);
        Ok(MetaReply::Done)
    }

    fn plan_move(&mut self, id: GroupId, swap: Swap) -> Outcome {
        let group = self.groups.get(&id).ok_or(Refusal::UnknownGroup(id))?;
        if let Some(change) = group.change {
            return if change.swap == swap {
                Ok(MetaReply::Planned { number: change.number, is_new: false })
            } else {
                Err(Refusal::Changing)
            };
        }
        let is_up = |node| self.members.get(&node).is_some_and(|m| m.state == MemberState::Up);
        let target = swap.target(&group.voters).filter(|_| swap.add.is_none_or(is_up));
        let target = target.ok_or(Refusal::BadSwap)?;
        if !self.has_majority(&group.voters) || !self.has_majority(&target) {
            return Err(Refusal::NoMajority);
        }
        self.last_change += 1;
        let change = Change { number: self.last_change, swap, since: self.clock };
        self.groups.entry(id).or_default().change = Some(change);
        Ok(MetaReply::Planned { number: change.number, is_new: true })
    }

    fn end_move(&mut self, id: GroupId, number: u64, made: bool) -> Outcome {
        let group = self.groups.get_mut(&id).ok_or(Refusal::UnknownGroup(id))?;
        let change = group.change.filter(|change| change.number == number);
        let swap = change.ok_or(Refusal::UnknownChange)?.swap;
        if made {
            group.voters = group.target();
        }
        group.change = None;
        swap.add.into_iter().chain(swap.remove).for_each(|node| self.forget(node));
        Ok(MetaReply::Done)
    }

    fn recover(
        &mut self,
        cluster: ClusterId,
        lost: &BTreeSet<NodeId>,
        heirs: &BTreeMap<GroupId, NodeId>,
        begins_anew: bool,
    ) -> Outcome {
        let clock = self.clock;
        let is_left = |node: &NodeId| self.is_live(*node) && !lost.contains(node);
        if !heirs.keys().eq(self.groups.keys()) || !heirs.values().all(is_left) {
            return Err(Refusal::BadRecovery);
        }
        let founding = self.founding.as_mut().ok_or(Refusal::NotFounded)?;
        if std::mem::replace(&mut founding.cluster, cluster) == cluster {
            return Ok(MetaReply::Already);
        }
        for (node, member) in &mut self.members {
            if lost.contains(node) && member.state != MemberState::Dead {
                (member.state, member.since) = (MemberState::Dead, clock);
            }
        }
        self.last_change += 1;
        self.groups = heirs
            .iter()
            .map(|(&id, &heir)| (id, Group { voters: [heir].into(), change: None }))
            .collect();
        let dead: Vec<NodeId> = self.members.keys().copied().collect();
        dead.into_iter().for_each(|node| self.forget(node));
        if begins_anew {
            // The only way back: a partition has to take them in once more.
            for table in self.tables.values_mut().filter(|t| t.state == TableState::Open) {
                (table.state, table.since) = (TableState::Opening, clock);
                self.index.note(table);
            }
        }
        Ok(MetaReply::Done)
    }
}

fn answer(table: &MetaTable, is_new: bool) -> MetaReply {
    MetaReply::Table { table: table.table, state: table.state, is_new }
}

fn check_profile(profile: &Profile, format: u16) -> Result<(), Refusal> {
    if profile.attributes.name.len() > MEMBER_NAME_BYTES_MAX {
        return Err(Refusal::BadProfile);
    }
    if profile.format < format {
        return Err(Refusal::Unspoken { format, newest: profile.format });
    }
    Ok(())
}

/// Whether a founding's figures are within their limits, and every group, and
/// no other, has voters who are all founders.
fn is_whole(
    founding: &Founding,
    members: &BTreeMap<NodeId, Profile>,
    groups: &BTreeMap<GroupId, BTreeSet<NodeId>>,
) -> bool {
    let data = (0..founding.partitions).map(|number| GroupId::Data(PartitionId(number)));
    let is_held = |voters: &BTreeSet<NodeId>| {
        !voters.is_empty() && voters.iter().all(|node| members.contains_key(node))
    };
    (1..=PARTITIONS_MAX).contains(&founding.partitions)
        && (1..=REPLICAS_MAX).contains(&founding.replicas)
        && members.len() <= MEMBERS_MAX
        && std::iter::once(GroupId::Meta).chain(data).eq(groups.keys().copied())
        && groups.values().all(is_held)
}
