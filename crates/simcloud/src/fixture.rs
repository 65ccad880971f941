use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Region, Timestamp, tag};

use crate::catalog::Cloud;
use crate::kernel::Kernel;
use crate::order::MachineSpec;
use crate::refusal::Refusal;
use crate::tags::Tags;

/// The kinds of things that cost nothing and are left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FixtureKind {
    /// A launch template or instance template.
    Template,
    /// A security group or firewall rule.
    Firewall,
    /// A network interface that outlived its machine.
    Interface,
    /// A network.
    Network,
    /// A resource group; deleting it deletes everything in it, machines included.
    ResourceGroup,
    /// A key pair for logging in.
    KeyPair,
    /// A placement group.
    PlacementGroup,
    /// A fleet object: it may start machines by itself.
    Fleet,
}

/// Something that costs nothing, blocks a deletion or a name, and is left until it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixture {
    /// What it is.
    pub kind: FixtureKind,
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// The resource group that it goes with, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Arc<str>>,
    /// Its tags.
    pub tags: Arc<Tags>,
    /// Since when it exists.
    pub created: Timestamp,
}

impl Fixture {
    /// Whose it is, from its tags.
    pub fn owner(&self) -> Option<&str> {
        self.tags.get(tag::OWNER).map(String::as_str)
    }
}

/// A fixture as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) fixture: Fixture,
    /// What the machines of a template are made of.
    pub(crate) spec: Option<MachineSpec>,
    /// How many machines hold it.
    pub(crate) holders: u32,
}

impl Kernel {
    /// Makes a fixture, or gives the one with this id new tags and a new content. Says whether it
    /// is new.
    pub fn put_fixture(&mut self, mut fixture: Fixture, spec: Option<MachineSpec>) -> bool {
        let old = self.fixtures.get(&fixture.id);
        let (created, holders) = old.map_or((self.now, 0), |old| (old.fixture.created, old.holders));
        let new = old.is_none();
        fixture.created = created;
        self.fixtures.insert(fixture.id.clone(), Kept { fixture, spec, holders });
        new
    }

    /// Makes a fixture with nothing in it, now: all there is to it are its tags.
    pub(crate) fn make_fixture(
        &mut self,
        kind: FixtureKind,
        id: impl Into<Arc<str>>,
        region: impl Into<Region>,
        tags: impl Into<Arc<Tags>>,
    ) {
        let (id, region, tags) = (id.into(), region.into(), tags.into());
        self.put_fixture(Fixture { kind, id, region, inside: None, tags, created: self.now }, None);
    }

    /// A fixture by its id.
    pub fn fixture(&self, id: &str) -> Option<&Fixture> {
        self.fixtures.get(id).map(|kept| &kept.fixture)
    }

    /// What the machines of a template are made of.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such template.
    pub fn template(&self, id: &str) -> Result<&MachineSpec, Refusal> {
        self.fixtures.get(id).and_then(|kept| kept.spec.as_ref()).ok_or_else(|| Refusal::Unknown {
            what: "template",
            name: id.to_owned(),
            nearest: Vec::new(),
        })
    }

    /// The fixtures of an owner, or all of them.
    pub fn fixtures<'a>(&'a self, owner: Option<&'a str>) -> impl Iterator<Item = &'a Fixture> {
        self.fixtures
            .values()
            .map(|kept| &kept.fixture)
            .filter(move |fixture| owner.is_none() || fixture.owner() == owner)
    }

    /// Deletes a fixture; says whether there was one. A resource group takes what is inside with
    /// it, and ends the machines that hold it.
    ///
    /// # Errors
    /// [`Refusal::InUse`] while machines hold it: a security group while they exist, a network
    /// too, a resource group until they have ended. Templates are never in use.
    pub fn delete_fixture(&mut self, id: &str) -> Result<bool, Refusal> {
        let Some(kept) = self.fixtures.get(id) else { return Ok(false) };
        if kept.fixture.kind == FixtureKind::ResourceGroup {
            self.end_holders(id);
        }
        let kept = &self.fixtures[id];
        if kept.holders > 0 && self.blocks(kept.fixture.kind) {
            return Err(Refusal::InUse { id: id.to_owned(), by: kept.holders });
        }
        let is_group = kept.fixture.kind == FixtureKind::ResourceGroup;
        self.fixtures.remove(id);
        // Nothing is inside anything else: a thousand interfaces that go must not look at all of them.
        if is_group {
            self.fixtures.retain(|_, kept| kept.fixture.inside.as_deref() != Some(id));
        }
        Ok(true)
    }

    /// When the last of the machines that hold a fixture has ended, if all of them are ending.
    #[cfg(feature = "server")]
    pub(crate) fn freed_at(&self, id: &str) -> Timestamp {
        let holding = self.lots.iter().filter(|lot| lot.spec.holds.iter().any(|held| &**held == id));
        let ends = holding.flat_map(|lot| lot.machines()).filter_map(|m| self.machines[m as usize].ended_at);
        ends.fold(self.now, Timestamp::max)
    }

    /// A firewall rule of Compute Engine goes at any time, a security group of EC2 does not.
    fn blocks(&self, kind: FixtureKind) -> bool {
        match kind {
            FixtureKind::Template | FixtureKind::Interface | FixtureKind::KeyPair | FixtureKind::Fleet => {
                false
            }
            FixtureKind::Firewall => self.cloud() != Cloud::Gcp,
            FixtureKind::Network | FixtureKind::ResourceGroup | FixtureKind::PlacementGroup => true,
        }
    }

    pub(crate) fn end_holders(&mut self, id: &str) {
        let holding: Vec<u32> = self
            .lots
            .iter()
            .filter(|lot| lot.left > 0 && lot.spec.holds.iter().any(|held| &**held == id))
            .flat_map(|lot| lot.machines())
            .filter(|m| self.machines[*m as usize].leaving_at.is_none())
            .collect();
        for m in holding {
            self.end_by_user(m);
        }
    }
}
