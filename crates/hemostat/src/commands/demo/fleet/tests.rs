use super::super::scenario::{Expected, SCENARIOS};
use super::*;

#[test]
fn every_scenario_has_a_container_that_opts_in_and_says_whose_it_is() {
    let owner = Owner::this().expect("/proc is there");
    let specs: Vec<_> = SCENARIOS.iter().map(|scenario| spec(scenario, &owner)).collect();
    for (scenario, spec) in SCENARIOS.iter().zip(&specs) {
        assert_eq!(spec.name, container_name(scenario));
        assert_eq!(spec.cmd, [scenario.name]);
        assert_eq!(spec.labels.get(LABEL_ENABLE).map(String::as_str), Some("true"));
        assert_eq!(life(&spec.labels[LABEL], &owner), Life::Runs { pid: std::process::id() });
        assert!(spec.memory_limit_bytes.is_some() && spec.cpu_cores.is_some() && spec.pids_limit.is_some());
        assert_eq!(spec.health.is_some(), scenario.health_check, "{}", scenario.name);
    }
    let names: std::collections::BTreeSet<_> = specs.iter().map(|spec| &spec.name).collect();
    assert_eq!(names.len(), SCENARIOS.len(), "names are not shared");
}

#[test]
fn the_engine_restarts_only_the_one_that_it_gives_up() {
    let owner = Owner::this().expect("/proc is there");
    let specs = SCENARIOS.iter().map(|scenario| (scenario.name, spec(scenario, &owner).restart_policy));
    let restarted: Vec<_> = specs.filter(|(_, policy)| *policy != RestartPolicy::No).collect();
    assert_eq!(restarted, [("crash-loop", RestartPolicy::OnFailure { max: 3 })]);
}

#[test]
fn the_container_that_is_stopped_by_hand_is_to_be_left_alone() {
    let stopped: Vec<_> = SCENARIOS.iter().filter(|scenario| scenario.name == STOPPED).collect();
    assert!(matches!(stopped[..], [scenario] if scenario.expected == Expected::Untouched), "{stopped:?}");
}

#[test]
fn a_label_that_is_not_ours_to_read_is_nobodys() {
    let owner = Owner::this().expect("/proc is there");
    for label in ["", "true", "hemostat"] {
        assert_eq!(life(label, &owner), Life::Unknown, "{label}");
    }
}
