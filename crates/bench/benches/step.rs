//! One step of supervision over fleets of growing size: a quiet look, and one that brings a
//! notice for every hundredth instance.

mod cpu;

use cpu::CpuTime;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use skyfleet_bench::fleet::Fleet;

fn steps(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(30);
    for count in [1_000, 10_000, 100_000] {
        for (name, nth) in [("quiet", 0), ("notices-1-percent", 100)] {
            let fleet = Fleet::running(count, nth).expect("the names are legal");
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter_batched_ref(|| fleet.clone(), Fleet::look, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = steps
}
criterion_main!(benches);
