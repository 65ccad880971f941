use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Region, Timestamp, UsdPerHour, Zone};

use crate::catalog::Cloud;
use crate::kernel::Kernel;
use crate::ledger::{Line, LineKind, Of};
use crate::refusal::Refusal;
use crate::tags::Tags;

/// A disk or an address that was made by itself and belongs to no machine. What it costs is in
/// the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Thing {
    pub(crate) id: Arc<str>,
    pub(crate) region: Region,
    /// None for an address.
    pub(crate) zone: Option<Zone>,
    pub(crate) tags: Arc<Tags>,
    pub(crate) created: Timestamp,
    pub(crate) line: u32,
}

/// The numbers from here on are of things, those below of machines: ids made of them never meet.
const FIRST: u64 = 1 << 40;

impl Kernel {
    /// Makes a thing that costs money from now on.
    pub(crate) fn make_thing(
        &mut self,
        (kind, gib, price): (LineKind, u32, UsdPerHour),
        (region, zone): (&Region, Option<&Zone>),
        name: Option<&str>,
        tags: Arc<Tags>,
    ) -> Result<Arc<str>, Refusal> {
        let (number, line) = (self.things.len() as u32, self.lines.len() as u32);
        let id: Arc<str> = match name {
            Some(name) => self.named_thing(kind, region, zone, name)?,
            None => self.thing_id(kind, number, region, zone).into(),
        };
        self.lines.push(Line {
            kind,
            of: Of::Thing(number),
            price,
            list: price,
            from: self.now,
            until: None,
            reclaimed: false,
            again: false,
            gib,
            asked: self.now,
        });
        self.things.push(Thing {
            id: id.clone(),
            region: region.clone(),
            zone: zone.cloned(),
            tags,
            created: self.now,
            line,
        });
        self.by_thing.insert(id.clone(), number);
        Ok(id)
    }

    /// Deletes a thing of its own, or what a machine left behind; says whether there was one.
    pub(crate) fn delete_thing(&mut self, id: &str) -> bool {
        self.delete_thing_at(id, self.now)
    }

    /// The same, for what went at an earlier time and is only noticed now.
    pub(crate) fn delete_thing_at(&mut self, id: &str, at: Timestamp) -> bool {
        let thing = self.by_thing.get(id).map(|thing| self.things[*thing as usize].line);
        let thing = thing.filter(|line| self.lines[*line as usize].until.is_none());
        let Some(line) = self.leftovers.remove(id).or(thing) else { return false };
        let line = &mut self.lines[line as usize];
        line.until = Some(at.max(line.from));
        true
    }

    fn thing_id(&self, kind: LineKind, number: u32, region: &Region, zone: Option<&Zone>) -> String {
        let (count, disk) = (number + 1, kind == LineKind::Disk);
        match self.cloud() {
            Cloud::Neutral => format!("{}-{count:06}", if disk { "disk" } else { "address" }),
            Cloud::Aws => {
                let zone = zone.cloned().unwrap_or_else(|| region.as_str().into());
                let id = self.setup.rules.instance_id(self.seed, FIRST + u64::from(number), &zone, "");
                id.replacen("i-", if disk { "vol-" } else { "eipalloc-" }, 1)
            }
            Cloud::Gcp => match zone {
                Some(zone) => format!("zones/{zone}/disks/disk-{count:04}"),
                None => format!("regions/{region}/addresses/address-{count:04}"),
            },
            Cloud::Azure => {
                let path = match disk {
                    true => format!("Microsoft.Compute/disks/disk-{count:04}"),
                    false => format!("Microsoft.Network/publicIPAddresses/address-{count:04}"),
                };
                format!(
                    "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/skyfleet/providers/{path}"
                )
            }
        }
    }

    /// The address of an allocated one, by its number: in 100.64.0.0/10, where no machine's is.
    pub(crate) fn thing_ip(number: u32) -> IpAddr {
        Ipv4Addr::from((0x6440_0000 | ((number + 1) & 0x003f_ffff)).to_be_bytes()).into()
    }
}
