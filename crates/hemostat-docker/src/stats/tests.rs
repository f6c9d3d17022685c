use serde_json::{Value, json};

use super::*;

#[test]
fn docker_20_10_on_cgroup_v1() {
    // A `docker run --memory 64m --cpus 0.25` of that engine, with figures of a disk and a network put in.
    let read = read(json!({
        "read": "2026-11-24T20:38:38.014532278Z", "preread": "0001-01-01T00:00:00Z",
        "pids_stats": { "current": 3 },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                { "major": 254, "minor": 0, "op": "Read", "value": 4096 },
                { "major": 254, "minor": 0, "op": "Write", "value": 1024 },
                { "major": 254, "minor": 0, "op": "Sync", "value": 5120 },
                { "major": 254, "minor": 0, "op": "Async", "value": 0 },
                { "major": 254, "minor": 0, "op": "Total", "value": 5120 },
                { "major": 8, "minor": 0, "op": "Read", "value": 100 },
            ],
            "io_serviced_recursive": [], "sectors_recursive": [],
        },
        "num_procs": 0, "storage_stats": {},
        "cpu_stats": {
            "cpu_usage": {
                "total_usage": 46_375_449, "percpu_usage": [40_214_362, 6_161_087],
                "usage_in_kernelmode": 10_000_000, "usage_in_usermode": 20_000_000,
            },
            "system_cpu_usage": 1_704_500_000_000_u64, "online_cpus": 2,
            "throttling_data": { "periods": 2, "throttled_periods": 1, "throttled_time": 7_898_135 },
        },
        "precpu_stats": { "cpu_usage": { "total_usage": 0 } },
        "memory_stats": {
            "usage": 552_960, "max_usage": 4_079_616, "limit": 67_108_864,
            // The group's own cache is not that of the groups below it.
            "stats": { "inactive_file": 1, "total_inactive_file": 52_960, "hierarchical_memory_limit": 67_108_864 },
        },
        "networks": {
            "eth0": { "rx_bytes": 1_000, "rx_packets": 4, "tx_bytes": 200 },
            "eth1": { "rx_bytes": 50, "tx_bytes": 7 },
        },
        "name": "/web", "id": "95395cbee2605c2f2a8b1124368eb93bc02f9686940e3d09a3f566ea37a8b84b",
    }));
    assert_eq!(
        read,
        Some(Counters {
            read_at: Timestamp::parse("2026-11-24T20:38:38.014532Z").expect("a time"),
            cpu_usage_ns: Some(46_375_449),
            cpus_online: Some(2),
            cpu_periods: Some(2),
            cpu_throttled_periods: Some(1),
            memory_bytes: Some(500_000),
            memory_limit_bytes: Some(64 << 20),
            network_rx_bytes: Some(1_050),
            network_tx_bytes: Some(207),
            block_read_bytes: Some(4_196),
            block_write_bytes: Some(1_024),
            pids: Some(3),
        })
    );
}

#[test]
fn docker_29_on_cgroup_v2() {
    let read = read(json!({
        "id": "f3b1a9c2", "name": "/web", "os_type": "linux", "read": "2026-02-01T10:00:00.5Z",
        "cpu_stats": {
            "cpu_usage": { "total_usage": 98_765, "usage_in_kernelmode": 65, "usage_in_usermode": 98_700 },
            "system_cpu_usage": 222_000_000, "online_cpus": 16,
            "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
        },
        "memory_stats": {
            "usage": 10_000, "limit": 33_554_432,
            "stats": { "anon": 6_000, "file": 4_000, "active_file": 1_000, "inactive_file": 3_000 },
        },
        "pids_stats": { "current": 5, "limit": 18_446_744_073_709_551_615_u64 },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                { "major": 259, "minor": 0, "op": "read", "value": 12_288 },
                { "major": 259, "minor": 0, "op": "write", "value": 8_192 },
            ],
            "io_serviced_recursive": null, "io_queue_recursive": null,
        },
        "num_procs": 0, "storage_stats": {}, "a_field_of_the_future": [{ "x": null }],
    }))
    .expect("it runs");
    assert_eq!((read.memory_bytes, read.memory_limit_bytes), (Some(7_000), Some(33_554_432)));
    assert_eq!((read.block_read_bytes, read.block_write_bytes), (Some(12_288), Some(8_192)));
    assert_eq!((read.cpus_online, read.pids), (Some(16), Some(5)));
    // `--network none`: no figure, not 0.
    assert_eq!((read.network_rx_bytes, read.network_tx_bytes), (None, None));
}

#[test]
fn podman_leaves_much_out() {
    let read = read(json!({
        "read": "2026-02-01T10:00:00Z",
        "cpu_stats": { "cpu_usage": { "total_usage": 500, "percpu_usage": null }, "cpu": 1.5, "online_cpus": 4,
            "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 } },
        "memory_stats": { "usage": 8_000, "max_usage": 18_446_744_073_709_551_615_u64,
            "limit": 18_446_744_073_709_551_615_u64 },
        "pids_stats": { "current": 1 },
        "blkio_stats": { "io_service_bytes_recursive": null },
        "networks": { "network": { "rx_bytes": 9, "tx_bytes": 8 } },
        "Id": "0123456789ab", "name": "web",
    }))
    .expect("it runs");
    assert_eq!(read.memory_bytes, Some(8_000));
    assert_eq!(read.memory_limit_bytes, None, "the largest number is no limit");
    assert_eq!((read.block_read_bytes, read.block_write_bytes), (None, None));
    assert_eq!(read.network_rx_bytes, Some(9));
}

#[test]
fn a_container_that_does_not_run_has_no_counters() {
    // Docker 20.10 of an ended container.
    let ended = json!({
        "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {},
        "blkio_stats": { "io_service_bytes_recursive": null }, "num_procs": 0, "storage_stats": {},
        "cpu_stats": { "cpu_usage": { "total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
            "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 } },
        "memory_stats": {}, "name": "/web",
    });
    for answer in [ended, json!({}), json!({ "cpu_stats": null, "memory_stats": null, "pids_stats": null })] {
        assert_eq!(read(answer.clone()), None, "{answer}");
    }
}

#[test]
fn one_figure_is_enough_and_the_others_stay_absent() {
    let read = read(json!({ "read": "", "pids_stats": { "current": 2 } })).expect("two processes run");
    assert_eq!(read, Counters { read_at: RECEIVED, pids: Some(2), ..Counters::default() });
}

#[test]
fn processors_are_counted_where_their_number_is_not_given() {
    let usage = json!({ "total_usage": 5, "percpu_usage": [1, 2, 2] });
    for (online, cpus) in [(json!(0), 3), (json!(null), 3), (json!(2), 2)] {
        let answer = json!({ "cpu_stats": { "cpu_usage": usage, "online_cpus": online } });
        assert_eq!(read(answer).and_then(|read| read.cpus_online), Some(cpus), "{online}");
    }
}

#[test]
fn cache_that_is_read_later_than_the_usage_does_not_make_it_negative() {
    let answer = json!({ "memory_stats": { "usage": 100, "stats": { "inactive_file": 150 } } });
    assert_eq!(read(answer).and_then(|read| read.memory_bytes), Some(100));
}

#[test]
fn a_time_of_year_one_is_no_time() {
    assert_eq!(read_time("0001-01-01T00:00:00Z"), None);
    assert_eq!(read_time(""), None);
    assert_eq!(read_time("2026-02-01T11:00:00+01:00"), Timestamp::parse("2026-02-01T10:00:00Z").ok());
}

const RECEIVED: Timestamp = Timestamp::EPOCH;

fn read(answer: Value) -> Option<Counters> {
    counters(&serde_json::from_value(answer).expect("an answer can have any of these forms"), RECEIVED)
}
