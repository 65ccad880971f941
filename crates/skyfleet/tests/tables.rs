//! The README's tables of the providers: what each can do, and what each proved over the wire.
//!
//! ```text
//! UPDATE_README=1 cargo test -p skyfleet --all-features --test tables
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The tests run side by side, and may write.
static README: Mutex<()> = Mutex::new(());

/// Compares what stands in the README between the marks of a name, or writes it there.
fn check(name: &str, table: &str) {
    let _alone = README.lock().unwrap_or_else(PoisonError::into_inner);
    let file = at("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = readme.split_once(&open).unwrap_or_else(|| panic!("the README has no {open}"));
    let (written, tail) = rest.split_once(&close).unwrap_or_else(|| panic!("the README has no {close}"));
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&file, format!("{head}{open}{table}{close}{tail}")).unwrap();
    } else {
        assert!(written == table, "the README's table is out of date; UPDATE_README=1 writes\n{table}");
    }
}

fn at(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// Each provider's own README holds what its last complete run of the suite showed.
#[test]
fn the_readme_shows_what_each_provider_proved_over_the_wire() {
    let mut names = Vec::new();
    let mut chapters: Vec<String> = Vec::new();
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for provider in ["aws", "gcp", "azure"] {
        let readme = std::fs::read_to_string(at(&format!("providers/{provider}/README.md"))).unwrap();
        let table = readme.split("<!-- conformance -->").nth(1).unwrap_or_default();
        let table = table.split("<!-- /conformance -->").next().unwrap_or_default();
        let mut rows = table.lines().filter_map(|line| {
            let cells: Vec<&str> =
                line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
            Some(<[&str; 4]>::try_from(cells).unwrap_or_else(|cells| panic!("{provider}: {cells:?}")))
        });
        let [.., name] = rows.next().unwrap_or_else(|| panic!("{provider}'s README has no table"));
        names.push(name.to_owned());
        for [chapter, clauses, cases, of] in rows.skip(1) {
            let row = format!("| {chapter} | {clauses} | {cases} |");
            if !shown.contains_key(&row) {
                chapters.push(row.clone());
            }
            shown.entry(row).or_default().push(of.to_owned());
        }
    }
    let mut table = format!("| chapter | clauses | cases | {} |\n", names.join(" | "));
    table += &format!("|---|---|---|{}\n", "---|".repeat(names.len()));
    for row in chapters {
        let cells = &shown[&row];
        assert_eq!(cells.len(), names.len(), "the providers' tables are of different suites: {row}");
        table += &format!("{row} {} |\n", cells.join(" | "));
    }
    check("wire", &table);
}

#[cfg(all(feature = "aws", feature = "gcp", feature = "azure", feature = "sim"))]
#[test]
fn the_readme_shows_what_each_provider_can_do() {
    use skyfleet_core::Capability;

    let all: Vec<(&str, Capability)> = skyfleet::drivers()
        .into_iter()
        .map(|driver| {
            let connected = (driver.connect)(&toml::Table::new()).unwrap();
            (driver.name, connected.provider.capability())
        })
        .collect();
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let seconds = |notice: Option<std::time::Duration>| match notice {
        Some(lead) => format!("{} s", lead.as_secs()),
        None => "no".to_owned(),
    };
    type Cell<'a> = &'a dyn Fn(&Capability) -> String;
    let rows: [(&str, Cell<'_>); 9] = [
        ("spot instances", &|can| word(can.spot)),
        ("a highest price per instance", &|can| word(can.price_max)),
        ("all or nothing, kept by the cloud itself", &|can| word(can.all_or_nothing)),
        ("the cloud ends instances at their expiry", &|can| word(can.native_expiry)),
        ("a preemption is announced outside the machine", &|can| seconds(can.notice)),
        ("placement scores or eviction rates", &|can| word(can.capacity_scores)),
        ("quotas: limits and usage", &|can| word(can.quotas)),
        ("instances per launch, at most", &|can| can.launch_max.to_string()),
        ("user data, at most", &|can| format!("{} bytes", can.user_data_bytes_max)),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (what, cell) in rows {
        let cells: Vec<String> = all.iter().map(|(_, can)| cell(can)).collect();
        table += &format!("| {what} | {} |\n", cells.join(" | "));
    }
    check("capabilities", &table);
}
