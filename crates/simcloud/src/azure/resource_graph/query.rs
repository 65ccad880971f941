use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::expression::{Expression, is_true};
use super::operator::order;
use super::words::{Reader, Word};

/// The most steps of a query.
const STEPS: usize = 64;

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Resources,
    Containers,
    Spot,
}

/// Rows, and what their cells are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
}

/// `Table | step | step`.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) table: Source,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Where(Expression),
    /// Only these columns, new ones among them.
    Project(Vec<(String, Expression)>),
    Away(Vec<String>),
    Extend(Vec<(String, Expression)>),
    /// By these; `true` for the smallest first.
    Order(Vec<(Expression, bool)>),
    Take(usize),
    Distinct(Vec<(String, Expression)>),
    /// How many rows there are of each.
    Count(String, Vec<(String, Expression)>),
}

impl Query {
    /// # Errors
    /// What cannot be read, or is not simulated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text)?;
        let name = reader.name()?;
        let table = match name.to_ascii_lowercase().as_str() {
            "resources" => Source::Resources,
            "resourcecontainers" => Source::Containers,
            "spotresources" => Source::Spot,
            _ => return Err(format!("the table {name} is not simulated")),
        };
        let mut steps = Vec::new();
        while reader.takes("|") {
            if steps.len() == STEPS {
                return Err("there are too many steps".to_owned());
            }
            steps.extend(step(&mut reader)?);
        }
        // One may stand at the end.
        reader.takes(";");
        match reader.peek() {
            None => Ok(Self { table, steps }),
            Some(_) => Err(format!("'|' should stand where {} is", reader.found())),
        }
    }

    /// Whether it says itself how many rows there are at most: then there are no pages.
    pub(super) fn limits(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Take(_)))
    }

    /// # Errors
    /// For a column that is not there.
    pub(super) fn run(&self, table: Table) -> Result<Table, String> {
        self.steps.iter().try_fold(table, |table, step| step.run(table))
    }
}

fn step(reader: &mut Reader) -> Result<Vec<Step>, String> {
    let name = reader.name()?;
    Ok(match name.as_str() {
        "where" | "filter" => vec![Step::Where(Expression::read(reader)?)],
        "project" => vec![Step::Project(named(reader)?)],
        "project-away" => vec![Step::Away(columns(reader)?)],
        "extend" => vec![Step::Extend(named(reader)?)],
        "order" | "sort" => vec![Step::Order(by(reader)?)],
        "take" | "limit" => vec![Step::Take(count(reader)?)],
        "top" => {
            let most = count(reader)?;
            vec![Step::Order(by(reader)?), Step::Take(most)]
        }
        "distinct" => vec![Step::Distinct(named(reader)?)],
        "count" => vec![Step::Count("Count".to_owned(), Vec::new())],
        "summarize" => vec![summarize(reader)?],
        _ => return Err(format!("the operator {name} is not simulated")),
    })
}

/// `a, b = tostring(c.d)`.
fn named(reader: &mut Reader) -> Result<Vec<(String, Expression)>, String> {
    let mut all: Vec<(String, Expression)> = Vec::new();
    loop {
        let mut read = Expression::read(reader)?;
        let name = if reader.takes("=") {
            let Expression::Column(name) = read else {
                return Err("a name should stand before '='".to_owned());
            };
            read = Expression::read(reader)?;
            name
        } else {
            read.title().unwrap_or_else(|| format!("Column{}", all.len() + 1))
        };
        if all.iter().any(|(known, _)| *known == name) {
            return Err(format!("there are two columns {name}"));
        }
        all.push((name, read));
        if !reader.takes(",") {
            return Ok(all);
        }
    }
}

fn columns(reader: &mut Reader) -> Result<Vec<String>, String> {
    let mut all = vec![reader.name()?];
    while reader.takes(",") {
        all.push(reader.name()?);
    }
    Ok(all)
}

/// `by a asc, b`: the biggest first unless it says otherwise.
fn by(reader: &mut Reader) -> Result<Vec<(Expression, bool)>, String> {
    if !reader.takes_name("by") {
        return Err(format!("'by' should stand where {} is", reader.found()));
    }
    let mut all = Vec::new();
    loop {
        let read = Expression::read(reader)?;
        let ascending = reader.takes_name("asc");
        if !ascending {
            reader.takes_name("desc");
        }
        all.push((read, ascending));
        if !reader.takes(",") {
            return Ok(all);
        }
    }
}

fn count(reader: &mut Reader) -> Result<usize, String> {
    let found = reader.found();
    match reader.next() {
        Some(Word::Whole(number)) => usize::try_from(number).map_err(|_| format!("{number} is too big")),
        _ => Err(format!("a number should stand where {found} is")),
    }
}

/// `n = count() by a`: the only aggregate that there is.
fn summarize(reader: &mut Reader) -> Result<Step, String> {
    let first = reader.name()?;
    let (title, function) = match reader.takes("=") {
        true => (first, reader.name()?),
        false => ("count_".to_owned(), first),
    };
    if function != "count" {
        return Err(format!("of aggregates only count() is simulated, not {function}"));
    }
    reader.sign("(")?;
    reader.sign(")")?;
    let by = if reader.takes_name("by") { named(reader)? } else { Vec::new() };
    Ok(Step::Count(title, by))
}

impl Step {
    fn run(&self, mut table: Table) -> Result<Table, String> {
        match self {
            Self::Where(wanted) => {
                let Table { columns, rows } = &mut table;
                known(columns, [wanted])?;
                rows.retain(|row| is_true(&of(wanted, columns, row)));
            }
            Self::Project(all) => return computed(&table, all),
            Self::Away(names) => {
                known(&table.columns, &names.iter().cloned().map(Expression::Column).collect::<Vec<_>>())?;
                let kept = table.columns.iter().filter(|name| !names.contains(name));
                let kept: Vec<_> =
                    kept.map(|name| (name.clone(), Expression::Column(name.clone()))).collect();
                return computed(&table, &kept);
            }
            Self::Extend(all) => {
                let new = |name: &&String| all.iter().all(|(other, _)| other != *name);
                let old = table.columns.iter().filter(new);
                let old = old.map(|name| (name.clone(), Expression::Column(name.clone())));
                return computed(&table, &old.chain(all.iter().cloned()).collect::<Vec<_>>());
            }
            Self::Order(by) => {
                let Table { columns, rows } = &mut table;
                known(columns, by.iter().map(|(wanted, _)| wanted))?;
                rows.sort_by(|left, right| {
                    let orders = by.iter().map(|(wanted, ascending)| {
                        let order = order(&of(wanted, columns, left), &of(wanted, columns, right));
                        if *ascending { order } else { order.reverse() }
                    });
                    orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
                });
            }
            Self::Take(most) => table.rows.truncate(*most),
            Self::Distinct(all) => {
                table = computed(&table, all)?;
                let mut seen = BTreeSet::new();
                table.rows.retain(|row| seen.insert(json!(row).to_string()));
            }
            Self::Count(title, by) => return counted(&table, title, by),
        }
        Ok(table)
    }
}

fn known<'e>(columns: &[String], all: impl IntoIterator<Item = &'e Expression>) -> Result<(), String> {
    let mut used = Vec::new();
    all.into_iter().for_each(|one| one.columns(&mut used));
    match used.into_iter().find(|name| !columns.iter().any(|known| known == name)) {
        None => Ok(()),
        Some(name) => Err(format!("there is no column {name}")),
    }
}

fn of(wanted: &Expression, columns: &[String], row: &[Value]) -> Value {
    wanted.of(&|name| columns.iter().position(|known| known == name).map_or(&Value::Null, |at| &row[at]))
}

fn computed(table: &Table, all: &[(String, Expression)]) -> Result<Table, String> {
    known(&table.columns, all.iter().map(|(_, wanted)| wanted))?;
    let row = |row: &Vec<Value>| all.iter().map(|(_, wanted)| of(wanted, &table.columns, row)).collect();
    Ok(Table {
        columns: all.iter().map(|(name, _)| name.clone()).collect(),
        rows: table.rows.iter().map(row).collect(),
    })
}

fn counted(table: &Table, title: &str, by: &[(String, Expression)]) -> Result<Table, String> {
    let Table { mut columns, rows } = computed(table, by)?;
    let mut groups: Vec<(Vec<Value>, u64)> = Vec::new();
    if by.is_empty() {
        groups.push((Vec::new(), rows.len() as u64));
    } else {
        let mut places = std::collections::BTreeMap::new();
        for row in rows {
            let at = *places.entry(json!(row).to_string()).or_insert_with(|| {
                groups.push((row, 0));
                groups.len() - 1
            });
            groups[at].1 += 1;
        }
    }
    columns.push(title.to_owned());
    let rows = groups.into_iter().map(|(mut row, count)| {
        row.push(count.into());
        row
    });
    Ok(Table { columns, rows: rows.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(query: &str) -> Result<Table, String> {
        let row = |name: &str, kind: &str, n: i64| vec![json!(name), json!(kind), json!({ "n": n })];
        let table = Table {
            columns: ["name", "type", "properties"].map(str::to_owned).to_vec(),
            rows: vec![row("b", "x", 2), row("a", "y", 10), row("c", "x", 3)],
        };
        Query::parse(query)?.run(table)
    }

    fn names(query: &str) -> Vec<Value> {
        run(query).unwrap().rows.into_iter().map(|mut row| row.remove(0)).collect()
    }

    #[test]
    fn steps_follow_each_other() {
        assert_eq!(names("Resources | where type == 'x' | order by name desc"), ["c", "b"]);
        assert_eq!(names("resources | sort by properties.n asc | take 2"), ["b", "c"]);
        assert_eq!(names("Resources | top 1 by properties.n"), ["a"]);
        assert_eq!(names("Resources | distinct type;"), ["x", "y"]);
        let table =
            run("Resources | extend n = properties.n, name = toupper(name) | project-away properties")
                .unwrap();
        assert_eq!(table.columns, ["type", "n", "name"]);
        assert_eq!(table.rows[0], [json!("x"), json!(2), json!("B")]);
        assert_eq!(run("Resources | project type, properties.n").unwrap().columns, ["type", "properties_n"]);
        let counted = run("Resources | summarize count() by type").unwrap();
        assert_eq!(
            (&*counted.columns, &*counted.rows[0]),
            (&["type".to_owned(), "count_".to_owned()][..], &[json!("x"), json!(2)][..])
        );
        assert_eq!(run("Resources | count").unwrap().rows, [[json!(3)]]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for query in [
            "Resources | where colour == 1",
            "Resources | project name, name",
            "Resources | order name",
            "Resources | summarize n = sum(properties.n)",
            "Resources | project-away colour",
            "Resources |",
            "Resources | where name == 'a' name",
            "Resources | take -1",
            "Resources | project 'a' = name",
        ] {
            assert!(run(query).is_err(), "{query}");
        }
        assert!(Query::parse(&format!("Resources{}", "| count".repeat(65))).is_err());
    }
}
