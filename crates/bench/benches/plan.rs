//! A plan for 1,000 instances out of catalogues of growing size, made ready beforehand.

mod cpu;

use std::hint::black_box;
use std::sync::Arc;

use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use skyfleet::{CapacityMemory, Catalogue, MarketMix, Need, Spec, Terms, plan, search};
use skyfleet_bench::offers;
use skyfleet_core::Timestamp;

fn plans(criterion: &mut Criterion<CpuTime>) {
    let all = offers::all().expect("the price list of SKYFLEET_OFFERS can be read");
    let mut group = criterion.benchmark_group("plan");
    for count in [1_000, 10_000, 131_000, all.len()] {
        let catalogue = Catalogue::new(offers::sample(&all, count));
        for (name, spec) in specs() {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| one(black_box(&catalogue), black_box(&spec)));
            });
        }
    }
    group.finish();
}

/// What most people ask for, and the widest there is: every offer fits.
fn specs() -> [(&'static str, Spec); 2] {
    let mixed = MarketMix::Mixed { on_demand_share: 0.1, on_demand_after: None };
    let need = Need { vcpus: Some(4), memory_gib: Some(8), ..Need::default() };
    [
        ("four-vcpus-spot", Spec { need, ..Spec::new(1_000) }),
        ("anything-mixed", Spec { market: mixed, ..Spec::new(1_000) }),
    ]
}

fn one(catalogue: &Arc<Catalogue>, spec: &Spec) -> u32 {
    let found = search(catalogue, &[], spec, &CapacityMemory::default(), Timestamp::UNIX_EPOCH);
    let plan = plan(spec, &found, spec.target, &Terms::default()).expect("something fits");
    plan.count()
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = plans
}
criterion_main!(benches);
