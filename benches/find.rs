//! Reading from a store of many: get, list, ranges of values, places near, opening, and memory.
//!
//! `LANNA_BENCH_ENTITIES` (100 000), `LANNA_BENCH_MEMORY` (bytes; unbounded), and
//! `LANNA_BENCH_FOLDER` (a temporary one; another is kept and used again).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::sync::Arc;
use std::time::Instant;

use lanna::jsonld::Context;
use lanna::model::{EntityId, TenantId, Timestamp, TypeSelection};
use lanna::query::{
    EntityPlan, Filter, FilterOptions, GeoFilter, GeoParams, Limits, Page, Selector,
};
use lanna::represent::{Renderer, Rendering};
use lanna::store::Store;
use lanna::store::embedded::{Embedded, Settings};
use support::{name, resident, setting, station, station_id, time, upsert};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: f64 = 1_048_576.0;

fn open(folder: &std::path::Path) -> Embedded {
    let memory = setting("LANNA_BENCH_MEMORY", 0) as u64;
    let started = Instant::now();
    let settings =
        Settings { memory_bytes: (memory > 0).then_some(memory), ..Settings::new(folder) };
    let store = Embedded::open(settings).unwrap();
    println!("opened in {:.2?}, resident {:.0} MiB", started.elapsed(), resident() as f64 / MIB);
    store
}

fn of_type(count: bool) -> EntityPlan {
    let types = Some(TypeSelection::of(name("AirQualityObserved")));
    EntityPlan {
        select: vec![Selector { types, ..Selector::default() }],
        page: Page { offset: 0, limit: 20, count, after: None },
        ..EntityPlan::default()
    }
}

fn q(text: &str, count: bool) -> EntityPlan {
    let context = Context::core();
    let options = FilterOptions::default();
    let filter = Filter::parse(text, &context, &options, &Limits::default()).unwrap();
    EntityPlan { filter: Some(filter), ..of_type(count) }
}

async fn load(store: &Embedded, all: usize) {
    let started = Instant::now();
    for first in (0..all).step_by(1_000) {
        let writes = (first..all.min(first + 1_000)).map(|i| upsert(station(i, all))).collect();
        store.commit(&TenantId::DEFAULT, writes, Timestamp::now()).await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("loaded {all} in {seconds:.1} s, {:.0}/s", all as f64 / seconds);
}

/// The bytes of an entity's JSON in the normalized form.
fn json_bytes(all: usize) -> f64 {
    let context = Context::core();
    let rendering = Rendering::default();
    let renderer = Renderer::new(&rendering, &context, Timestamp::now());
    let mut out = Vec::new();
    for index in 0..100 {
        renderer.entity(&mut out, &station(index * all / 100, all));
    }
    out.len() as f64 / 100.0
}

fn measure(runtime: &tokio::runtime::Runtime, store: &Arc<Embedded>, all: usize) {
    let here = TenantId::DEFAULT;
    let now = Timestamp::now();
    let ids: Vec<EntityId> =
        (0..10_000).map(|nth| EntityId::from_trusted(&station_id(nth * 7_919 % all))).collect();
    let get = |nth: usize| {
        let found = runtime.block_on(store.get(&here, &ids[nth % ids.len()], now));
        assert!(found.unwrap().is_some());
    };
    println!("get, first time     {:?}", time(ids.len(), get));
    println!("get                 {:?}", time(100_000, get));
    let find = |what: &str, plan: &EntityPlan, calls: usize| {
        let first = Instant::now();
        let found = runtime.block_on(store.find(&here, plan, now)).unwrap();
        let first = first.elapsed();
        store.finish_indexes();
        let often = time(calls, |_| {
            runtime.block_on(store.find(&here, plan, now)).unwrap();
        });
        println!("{what:<19} {often:?} (first {first:?}, {:?} of them)", found.count);
    };
    find("list of 20", &of_type(false), 10_000);
    find("list, counted", &of_type(true), 10_000);
    let mut deep = of_type(true);
    deep.page.offset = all / 2;
    find("list, offset deep", &deep, 10_000);
    find("pm25>90, counted", &q("pm25>90", true), 1_000);
    find("pm25>90", &q("pm25>90", false), 1_000);
    find("pm25>5", &q("pm25>5", false), 1_000);
    find("pattern, pm25>90", &q("source~=lampang;pm25>90", true), 1_000);
    find("near 2 km, counted", &near(all), 1_000);
    let census = time(10, |_| {
        runtime.block_on(store.census(&here, now)).unwrap();
    });
    println!("census              {census:?}");
    println!("resident {:.0} MiB", resident() as f64 / MIB);
}

/// A circle of 2 km around the middle of the grid.
fn near(all: usize) -> EntityPlan {
    let middle = (all as f64).sqrt() / 2.0 * 0.005;
    let params = GeoParams {
        georel: Some("near;maxDistance==2000"),
        geometry: Some("Point"),
        coordinates: Some(&format!("[{},{}]", 95.0 + middle, 5.0 + middle)),
        geoproperty: None,
    };
    let geo = GeoFilter::parse(&params, &Context::core(), &Limits::default()).unwrap();
    EntityPlan { geo, ..of_type(true) }
}

fn main() {
    let all = setting("LANNA_BENCH_ENTITIES", 100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("LANNA_BENCH_FOLDER").map(std::path::PathBuf::from);
    let folder = kept.unwrap_or_else(|| temporary.path().to_owned());
    let json = json_bytes(all);
    println!("{all} entities of {json:.0} bytes of JSON, {:.0} MiB", json * all as f64 / MIB);
    let before = resident();
    let store = Arc::new(open(&folder));
    let there = store.numbers().entities as usize;
    if there < all {
        runtime.block_on(load(&store, all));
    }
    let used = (resident() - before) as f64;
    println!(
        "resident {:.0} MiB more: {:.2} of the JSON; entities are taken to need {:.0} MiB; disk {:.0} MiB",
        used / MIB,
        used / (json * all as f64),
        store.numbers().entity_bytes as f64 / MIB,
        store.numbers().disk_bytes as f64 / MIB,
    );
    measure(&runtime, &store, all);
    runtime.block_on(store.close()).unwrap();
    drop(store);
    println!("after a restart");
    let store = Arc::new(open(&folder));
    measure(&runtime, &store, all);
}
