use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Market, Region, Timestamp, UsdPerHour};

use crate::kernel::Kernel;
use crate::ledger::{LineKind, Of};
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::Whose;

/// A public address that belongs to no machine: allocated by itself, or left over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Address {
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Its tags.
    pub tags: Arc<Tags>,
    /// Since when it exists.
    pub created: Timestamp,
    /// What an hour of it costs.
    pub price: UsdPerHour,
    /// The address itself.
    pub ip: IpAddr,
}

impl Kernel {
    /// The addresses that were allocated or left over, oldest first; not those that living
    /// machines got by themselves.
    pub fn addresses(&self, whose: &Whose<'_>) -> Vec<Address> {
        let open = self.open_lines(LineKind::Address);
        open.filter_map(|(index, line)| {
            let (region, tags) = (self.line_region(line), self.line_tags(index));
            whose.is(tags, region.as_str()).then(|| self.show_address(index))?
        })
        .collect()
    }

    /// An allocated or left over address by its id.
    pub fn address(&self, id: &str) -> Option<Address> {
        let line = self.line_of(id)?;
        let is_one = self.lines[line as usize].kind == LineKind::Address;
        (is_one && self.lines[line as usize].is_open(self.now)).then(|| self.show_address(line))?
    }

    /// Allocates an address, which costs money until it is given back, used or not (EC2, Elastic
    /// IP addresses).
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for a region that is none.
    pub fn create_address(&mut self, region: &Region, tags: Arc<Tags>) -> Result<Arc<str>, Refusal> {
        self.make_address(region, None, tags)
    }

    /// The same with a name of the caller's own: its id is `regions/REGION/addresses/NAME`; on Azure the
    /// name is the whole id.
    ///
    /// # Errors
    /// That, and 409 `alreadyExists` while an address has that name in the region; `Invalid` on
    /// another cloud than Compute Engine.
    pub fn create_address_named(
        &mut self,
        region: &Region,
        name: &str,
        tags: Arc<Tags>,
    ) -> Result<Arc<str>, Refusal> {
        self.make_address(region, Some(name), tags)
    }

    fn make_address(
        &mut self,
        region: &Region,
        name: Option<&str>,
        tags: Arc<Tags>,
    ) -> Result<Arc<str>, Refusal> {
        self.known_region(region)?;
        let price = self.setup.rules.extras.address(Market::OnDemand);
        self.make_thing((LineKind::Address, 0, price), (region, None), name, tags)
    }

    /// Gives an address back; says whether there was one.
    ///
    /// # Errors
    /// [`Refusal::InUse`] while a machine has it that has not ended.
    pub fn delete_address(&mut self, id: &str) -> Result<bool, Refusal> {
        let line = self.line_of(id).map(|line| &self.lines[line as usize]);
        let line = line.filter(|line| line.kind == LineKind::Address && line.is_open(self.now));
        let Some(line) = line else { return Ok(false) };
        match line.of {
            Of::Machine(_) if !self.leftovers.contains_key(id) => {
                Err(Refusal::InUse { id: id.to_owned(), by: 1 })
            }
            _ => Ok(self.delete_thing(id)),
        }
    }

    fn show_address(&self, index: u32) -> Option<Address> {
        let line = &self.lines[index as usize];
        let (id, created, ip) = match line.of {
            Of::Thing(thing) => {
                let shown = &self.things[thing as usize];
                (shown.id.clone(), shown.created, Self::thing_ip(thing))
            }
            Of::Machine(m) => {
                let id = self.line_id(index);
                if !self.leftovers.contains_key(&id) {
                    return None;
                }
                (id, self.lots[self.machines[m as usize].lot as usize].at, Self::public_ip(m))
            }
        };
        Some(Address {
            id,
            region: self.line_region(line).clone(),
            tags: self.line_tags(index).clone(),
            created,
            price: line.price,
            ip,
        })
    }
}
