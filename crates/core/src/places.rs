//! Regions, zones and types by name: those that the settings let in, and those that a search asks
//! about.

use std::collections::BTreeSet;
use std::future::Future;

use crate::{Error, ErrorKind, OfferQuery, Region, Result, TypeName, Zone};

/// A region as its provider knows it.
pub trait Place {
    /// Its name.
    fn region(&self) -> &Region;

    /// Its zones, in order.
    fn zones(&self) -> &[Zone];

    /// Forgets the zones that are not wanted.
    fn retain(&mut self, wanted: impl FnMut(&Zone) -> bool);
}

/// The regions that the settings of a provider let in, with the zones that they let in: empty lists
/// let in everything.
///
/// # Errors
/// `InvalidConfig` for a name that there is not, with the nearest: then waiting does not help.
pub fn in_scope<P: Place + Clone>(
    provider: &str,
    all: &[P],
    regions: &[Region],
    zones: &[Zone],
) -> Result<Vec<P>> {
    let misconfigured = |key: &str, error: Error| {
        Error::new(ErrorKind::InvalidConfig, error.message())
            .with("key", format!("providers.{provider}.{key}"))
    };
    let known = || all.iter().map(|place| place.region().as_str());
    if let Some(wrong) = regions.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(misconfigured("regions", no_such(provider, "region", wrong.as_str(), known())));
    }
    let known = || all.iter().flat_map(|place| place.zones().iter().map(Zone::as_str));
    if let Some(wrong) = zones.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(misconfigured("zones", no_such(provider, "zone", wrong.as_str(), known())));
    }
    let named = all.iter().filter(|place| regions.is_empty() || regions.contains(place.region()));
    let narrowed = named.map(|place| {
        let mut place = place.clone();
        place.retain(|zone| zones.is_empty() || zones.contains(zone));
        place
    });
    Ok(narrowed.filter(|place| !place.zones().is_empty()).collect())
}

/// The regions and zones where an answer can be: those asked for, else the `usual` zones of all.
///
/// # Errors
/// `InvalidRequest` for a name that is not in scope, with the nearest.
pub fn asked<'a, P: Place>(
    provider: &str,
    scope: &'a [P],
    query: &OfferQuery,
    usual: impl Fn(&Zone) -> bool,
) -> Result<Vec<(&'a P, Vec<&'a Zone>)>> {
    let known = || scope.iter().map(|place| place.region().as_str());
    if let Some(wrong) = query.regions.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(no_such(provider, "region", wrong.as_str(), known()));
    }
    let known = || scope.iter().flat_map(|place| place.zones().iter().map(Zone::as_str));
    if let Some(wrong) = query.zones.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(no_such(provider, "zone", wrong.as_str(), known()));
    }
    let wanted = |zone: &&Zone| query.zones.contains(zone) || query.zones.is_empty() && usual(zone);
    let places =
        scope.iter().filter(|place| query.regions.is_empty() || query.regions.contains(place.region()));
    let asked = places.map(|place| (place, place.zones().iter().filter(wanted).collect::<Vec<_>>()));
    Ok(asked.filter(|(_, zones)| !zones.is_empty()).collect())
}

/// Refuses types that no place in scope sells; one that only the asked places lack is a right question
/// without an answer. `known` are those of all places in scope: it is asked for only where a type was
/// not found in the asked ones.
///
/// # Errors
/// `InvalidRequest` for the first such type, with the nearest; those of `known`.
pub async fn check_types(
    provider: &str,
    asked: &[TypeName],
    is_found: impl Fn(&TypeName) -> bool,
    known: impl Future<Output = Result<BTreeSet<TypeName>>>,
) -> Result<()> {
    if asked.iter().all(&is_found) {
        return Ok(());
    }
    let known = known.await?;
    match asked.iter().find(|name| !is_found(name) && !known.contains(*name)) {
        Some(unknown) => {
            let known = known.iter().map(TypeName::as_str);
            Err(no_such(provider, "instance type", unknown.as_str(), known))
        }
        None => Ok(()),
    }
}

/// There is no such thing: the nearest that there is stands in the message.
pub fn no_such<'a>(
    provider: &str,
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Error {
    let near = known.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let near = near.map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
    Error::new(ErrorKind::InvalidRequest, format!("{provider} has no {what} {name:?}{near}"))
        .with("key", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Known(Region, Vec<Zone>);

    impl Place for Known {
        fn region(&self) -> &Region {
            &self.0
        }

        fn zones(&self) -> &[Zone] {
            &self.1
        }

        fn retain(&mut self, wanted: impl FnMut(&Zone) -> bool) {
            self.1.retain(wanted);
        }
    }

    fn all() -> Vec<Known> {
        let zones = |names: &[&str]| names.iter().map(|name| Zone::from(*name)).collect();
        vec![
            Known("east".into(), zones(&["east-1", "east-2", "east-x9"])),
            Known("west".into(), zones(&["west-1"])),
        ]
    }

    #[test]
    fn the_settings_let_in_what_they_name() {
        let names = |regions: &[&str], zones: &[&str]| {
            let regions: Vec<Region> = regions.iter().map(|name| Region::from(*name)).collect();
            let zones: Vec<Zone> = zones.iter().map(|name| Zone::from(*name)).collect();
            in_scope("cloud", &all(), &regions, &zones)
        };
        assert_eq!(names(&[], &[]).unwrap(), all());
        assert_eq!(names(&["west"], &[]).unwrap(), all()[1..]);
        let narrow = names(&[], &["east-2"]).unwrap();
        assert_eq!(narrow, [Known("east".into(), vec!["east-2".into()])], "a region without zones is none");
        for (error, key, near) in [
            (names(&["eats"], &[]).unwrap_err(), "providers.cloud.regions", "\"east\""),
            (names(&[], &["wets-1"]).unwrap_err(), "providers.cloud.zones", "\"west-1\""),
        ] {
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidConfig, Some(key)));
            assert!(error.message().contains(near), "{error}");
        }
    }

    #[test]
    fn unusual_zones_are_only_for_who_asks_for_them() {
        let scope = all();
        let usual = |zone: &Zone| !zone.as_str().contains('x');
        let zones = |query: &OfferQuery| -> Vec<String> {
            let found = asked("cloud", &scope, query, usual).unwrap();
            found.into_iter().flat_map(|(_, zones)| zones.into_iter().map(Zone::to_string)).collect()
        };
        assert_eq!(zones(&OfferQuery::default()), ["east-1", "east-2", "west-1"]);
        let named = OfferQuery { zones: vec!["east-x9".into()], ..OfferQuery::default() };
        assert_eq!(zones(&named), ["east-x9"]);
        let apart = OfferQuery { regions: vec!["west".into()], ..named };
        assert!(zones(&apart).is_empty(), "both are there, but not together");
        let unknown = OfferQuery { regions: vec!["north".into()], ..OfferQuery::default() };
        assert_eq!(asked("cloud", &scope, &unknown, usual).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }

    #[tokio::test]
    async fn a_type_is_refused_when_nobody_has_it_and_looked_for_only_when_it_is_missing() {
        let names = |names: &[&str]| names.iter().map(|name| TypeName::from(*name)).collect::<Vec<_>>();
        let check = async |asked: &[&str], known: Result<BTreeSet<TypeName>>| {
            check_types("cloud", &names(asked), |name| name.as_str() == "here", async { known }).await
        };
        let down = || Err(Error::new(ErrorKind::Unavailable, "down"));
        check(&["here"], down()).await.unwrap();
        assert_eq!(check(&["there"], down()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let known = BTreeSet::from(["there".into()]);
        check(&["here", "there"], Ok(known.clone())).await.unwrap();
        let error = check(&["here", "three"], Ok(known)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("cloud has no instance type \"three\"; the nearest is \"there\""));
    }
}
