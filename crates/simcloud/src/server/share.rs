use std::sync::Arc;

use skyfleet_core::{Error, ErrorKind, Region, Result, TypeName};

use crate::catalog::{Catalog, nearest};
use crate::fault::Fault;
use crate::scenario::Scenario;

/// One scenario for each cloud: what names that cloud, its zones, regions or types, and what names
/// nothing.
///
/// # Errors
/// `InvalidConfig` for a part that no cloud could play, with what would be right.
pub(crate) fn scenario<const N: usize>(
    whole: &Scenario,
    catalogs: &[Arc<Catalog>; N],
) -> Result<[Scenario; N]> {
    let mut shares: [Scenario; N] = std::array::from_fn(|_| Scenario {
        events: Vec::new(),
        pools: crate::scenario::PoolSettings { set: Vec::new(), ..whole.pools.clone() },
        ..whole.clone()
    });
    for (index, event) in whole.events.iter().enumerate() {
        let place = format!("event[{index}]");
        let named = event.fault.cloud();
        let takes = |catalog: &Catalog| named.is_none_or(|cloud| cloud == catalog.cloud());
        give(
            &place,
            catalogs,
            takes,
            |catalog| event.fault.check(catalog),
            |share| {
                shares[share].events.push(event.clone());
            },
        )?;
    }
    for (index, set) in whole.pools.set.iter().enumerate() {
        let place = format!("pools.set[{index}]");
        let check = |catalog: &Catalog| {
            let names = Fault::Capacity {
                cloud: None,
                zone: set.zone.clone().unwrap_or_else(|| catalog.zones()[0].zone.clone()),
                instance_type: set.instance_type.clone(),
                market: set.market,
                available: None,
            };
            names.check(catalog)
        };
        give(&place, catalogs, |_| true, check, |share| shares[share].pools.set.push(set.clone()))?;
    }
    for (index, step) in whole.market.trace.iter().enumerate() {
        let known = |catalog: &Arc<Catalog>| {
            step.zone.as_ref().is_none_or(|zone| catalog.zone(zone.as_str()).is_some())
                && step
                    .instance_type
                    .as_ref()
                    .is_none_or(|name| catalog.instance_type(name.as_str()).is_some())
        };
        if !catalogs.iter().any(known) {
            let (zone, name) = (step.zone.as_ref().map(ToString::to_string), step.instance_type.as_ref());
            let names = [zone, name.map(TypeName::to_string)].into_iter().flatten().collect::<Vec<_>>();
            let message = format!("no cloud has {}", names.join(" with "));
            return Err(bad(&format!("trace step {}", index + 1), &message));
        }
    }
    Ok(shares)
}

/// Gives a part to each cloud that takes it and knows its names; at least one must.
fn give<const N: usize>(
    place: &str,
    catalogs: &[Arc<Catalog>; N],
    takes: impl Fn(&Catalog) -> bool,
    check: impl Fn(&Catalog) -> Result<()>,
    mut give: impl FnMut(usize),
) -> Result<()> {
    let mut given = false;
    let mut refused = Vec::new();
    for (share, catalog) in catalogs.iter().enumerate().filter(|(_, catalog)| takes(catalog)) {
        match check(catalog) {
            Ok(()) => {
                give(share);
                given = true;
            }
            Err(error) => refused.push(format!("{}: {}", catalog.cloud(), error.message())),
        }
    }
    match (given, refused.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(bad(place, &refused.join("; "))),
        (false, true) => Err(bad(place, "its cloud is none of aws, gcp and azure")),
    }
}

/// The regions of each cloud among these; a cloud of which none is named has all of its own.
///
/// # Errors
/// `InvalidConfig` for a region that no cloud has.
pub(crate) fn regions<const N: usize>(
    wanted: &[Region],
    catalogs: &[Arc<Catalog>; N],
) -> Result<[Vec<Region>; N]> {
    for region in wanted {
        if !catalogs.iter().any(|catalog| catalog.has_region(region.as_str())) {
            let known: Vec<&str> =
                catalogs.iter().flat_map(|catalog| catalog.regions()).map(Region::as_str).collect();
            let near = nearest(region.as_str(), known.iter().copied());
            let hint = match near.is_empty() {
                true => format!("known: {}", known.join(", ")),
                false => format!("did you mean {}?", near.join(" or ")),
            };
            let message = format!("no cloud has a region {:?}; {hint}", region.as_str());
            return Err(Error::new(ErrorKind::InvalidConfig, message).with("key", "regions"));
        }
    }
    let of = |catalog: &Arc<Catalog>| {
        wanted.iter().filter(|region| catalog.has_region(region.as_str())).cloned().collect()
    };
    Ok(std::array::from_fn(|share| of(&catalogs[share])))
}

fn bad(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("scenario, {place}: {what}")).with("key", place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::server::CLOUDS;

    fn shared(text: &str) -> Result<[Scenario; 3]> {
        scenario(&Scenario::parse(text, "s.toml", Path::new(".")).unwrap(), &CLOUDS.map(Catalog::of))
    }

    #[test]
    fn each_cloud_gets_what_names_it_and_what_names_nothing() {
        let [aws, gcp, azure] = shared(
            "[[event]]\nat_s = 1\nkind = \"capacity\"\nzone = \"us-east-1a\"\navailable = 0\n\
             [[event]]\nat_s = 2\nkind = \"preempt\"\nnth = 1\n\
             [[event]]\nat_s = 3\nkind = \"stale\"\nseconds = 1\ncloud = \"gcp\"\n\
             [boot]\nmedian_s = 2\n\
             [pools]\ndefault_capacity = 5\nset = [{ instance_type = \"Standard_D2s_v5\", capacity = 1 }]\n",
        )
        .unwrap();
        assert_eq!([&aws, &gcp, &azure].map(|share| share.events.len()), [2, 2, 1]);
        assert_eq!([&aws, &gcp, &azure].map(|share| share.pools.set.len()), [0, 0, 1]);
        for share in [aws, gcp, azure] {
            assert_eq!((share.boot.median_s, share.pools.default_capacity), (Some(2.0), Some(5)));
        }
    }

    #[test]
    fn a_name_that_no_cloud_has_is_refused_with_a_near_one() {
        for (text, part) in [
            (
                "[[event]]\nat_s = 1\nkind = \"capacity\"\nzone = \"us-east-1z\"\navailable = 0\n",
                "us-east-1a",
            ),
            ("[pools]\nset = [{ instance_type = \"m7g.larg\", capacity = 1 }]\n", "m7g.large"),
            (
                "[[event]]\nat_s = 1\ncloud = \"neutral\"\nkind = \"stale\"\nseconds = 1\n",
                "aws, gcp and azure",
            ),
            (
                "[[event]]\nat_s = 1\ncloud = \"gcp\"\nkind = \"capacity\"\nzone = \"us-east-1a\"\navailable = 0\n",
                "us-east",
            ),
        ] {
            let error = shared(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn regions_go_to_the_clouds_that_have_them() {
        let catalogs = CLOUDS.map(Catalog::of);
        let [aws, gcp, azure] = regions(&["us-east-1".into(), "eastus".into()], &catalogs).unwrap();
        assert_eq!((aws.len(), gcp.len(), azure.len()), (1, 0, 1));
        let error = regions(&["us-east-11".into()], &catalogs).unwrap_err();
        assert!(error.to_string().contains("us-east-1"), "{error}");
    }
}
