//! What holds on every cloud, whatever its words for it.

use super::wire::{Bed, closed_url};

/// A job of forty files on five spot instances, two of which are taken back meanwhile.
pub(crate) fn a_batch_job_survives_two_preemptions_and_leaves_nothing(provider: &'static str, region: &str) {
    let bed = Bed::with(
        provider,
        "[[event]]\nat_s = 60\nkind = \"preempt\"\nnth = 2\nnotice_s = 20\n\
         [[event]]\nat_s = 75\nkind = \"preempt\"\nnth = 3\nnotice_s = 20\n",
    );
    for n in 0..40 {
        bed.home.write(&format!("in/{n:02}.txt"), &"word ".repeat(n + 1));
    }
    let args = ["run", "--input", "in", "-n", "5", "--vcpus", "2", "--region", region];
    let command = ["--", "sleep 0.5; wc -w < \"$SKYFLEET_INPUT\""];
    let ended = bed.run(&[&args[..], &command].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let counts: Vec<usize> = ended.out.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert_eq!(counts, (1..=40).collect::<Vec<_>>(), "{ended:?}");
    assert!(ended.err.contains("leftovers: 0"), "{ended:?}");
    let events = bed.admin("GET", "/v1/events", "").to_string();
    assert_eq!(events.matches("\"reclaim\"").count(), 2, "{events}");
    bed.is_empty();
}

/// Twelve instances by three commands. `mark` is in each id of an instance, `calls` looks at what
/// the cloud was asked for.
pub(crate) fn a_fleet_goes_up_is_seen_and_goes_down(
    provider: &'static str,
    region: &str,
    mark: &str,
    calls: impl FnOnce(&Bed),
) {
    let bed = Bed::new(provider);
    let up = bed.run(&["up", "-n", "12", "--vcpus", "2", "--region", region, "--lifetime", "1h"]);
    assert_eq!(up.code, 0, "{up:?}");
    let ps = bed.run(&["ps", "--json"]);
    assert_eq!(ps.code, 0, "{ps:?}");
    assert_eq!(ps.out.matches(mark).count(), 12, "{ps:?}");
    let down = bed.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.err.contains("leftovers: 0") || down.out.contains("leftovers: 0"), "{down:?}");
    calls(&bed);
    bed.is_empty();
}

/// Which fault, the command line, the exit code, and what the error must say.
pub(crate) type Refused<'a> = (&'a str, &'a [&'a str], i32, &'a [&'a str]);

/// What cannot be had is a clear error and leaves nothing.
pub(crate) fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing(
    provider: &'static str,
    cases: &[Refused<'_>],
) {
    let bed = Bed::new(provider);
    for (fault, args, code, words) in cases {
        if !fault.is_empty() {
            bed.fault(fault);
        }
        let ended = bed.run(args);
        ended.refused(*code, words);
        bed.admin("DELETE", "/v1/faults", "");
        let _left = bed.run(&["down", "--all"]);
        bed.is_empty();
    }
}

/// The variables lead to a port where nobody listens.
pub(crate) fn an_endpoint_that_is_down_is_said_so(provider: &'static str, region: &str, variables: &[&str]) {
    let bed = Bed::new(provider);
    let url = closed_url();
    let down: Vec<(&str, &str)> = variables.iter().map(|name| (*name, url.as_str())).collect();
    let ended = bed.run_with(&["plan", "-n", "1", "--vcpus", "2", "--region", region], &down);
    assert!(ended.code != 0, "{ended:?}");
    assert!(ended.err.contains("cannot be reached") && ended.err.contains("refused"), "{ended:?}");
}

/// The doctor says who calls and what may be done.
pub(crate) fn the_doctor_finds_all_in_order_and_changes_nothing(provider: &'static str, words: &[&str]) {
    let bed = Bed::new(provider);
    let ended = bed.run(&["doctor", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for word in words {
        assert!(ended.out.contains(word), "{word}: {ended:?}");
    }
    bed.is_empty();
}
