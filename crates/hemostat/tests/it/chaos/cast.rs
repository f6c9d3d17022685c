//! The processes: several of every agent, each replaced as soon as it is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hemostat_event::Role;
use rustix::process::Signal;

use super::load::{BUDGET, HOST, NAMESPACE, WINDOW};
use crate::rig::{self, Process};

/// Processes of each agent.
const REPLICAS: [(Role, usize); 4] =
    [(Role::Monitor, 2), (Role::Analyzer, 3), (Role::Responder, 2), (Role::Alert, 2)];
/// Least time between two starts of a process that ends by itself.
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// All processes.
pub(super) struct Cast {
    redis: String,
    webhook: String,
    members: Vec<Member>,
    /// Processes started so far: each has a name of its own.
    started: usize,
    restarted: usize,
}

struct Member {
    role: Role,
    process: Process,
    started: Instant,
    frozen_until: Option<Instant>,
}

impl Cast {
    pub(super) fn start(redis: String, webhook: String) -> Self {
        let mut cast = Self { redis, webhook, members: Vec::new(), started: 0, restarted: 0 };
        for (role, count) in REPLICAS {
            for _ in 0..count {
                let member = cast.member(role);
                cast.members.push(member);
            }
        }
        cast
    }

    fn member(&mut self, role: Role) -> Member {
        self.started += 1;
        let mut command = tied(&[role.as_str()]);
        command
            .env("HEMOSTAT_REDIS_URL", &self.redis)
            .env("HEMOSTAT_REDIS_NAMESPACE", NAMESPACE)
            .env("HEMOSTAT_HOST", HOST)
            .env("HEMOSTAT_INSTANCE", format!("r{}", self.started))
            .env("HEMOSTAT_LOG_LEVEL", "warn")
            // What would take minutes in production takes seconds here, so that it happens between two kills.
            .env("HEMOSTAT_AGENT_CLAIM_AFTER", "1s")
            .env("HEMOSTAT_MONITOR_INTERVAL", "1s")
            .env("HEMOSTAT_MONITOR_STABLE_FOR", "1s")
            .env("HEMOSTAT_MONITOR_CLEAR_AFTER", "1")
            .env("HEMOSTAT_MONITOR_REALERT_AFTER", "3s")
            .env("HEMOSTAT_RESPONDER_COOLDOWN", "1s")
            .env("HEMOSTAT_RESPONDER_BUDGET", BUDGET.to_string())
            .env("HEMOSTAT_RESPONDER_BUDGET_WINDOW", format!("{}s", WINDOW.as_secs()))
            .env("HEMOSTAT_RESPONDER_BREAKER_FAILURES", "20")
            .env("HEMOSTAT_RESPONDER_BREAKER_OPEN", "5s")
            .env("HEMOSTAT_RESPONDER_STABILISE", "1s")
            .env("HEMOSTAT_ALERT_TERMINAL", "false")
            .env("HEMOSTAT_ALERT_WEBHOOK_URL", &self.webhook)
            .env("HEMOSTAT_ALERT_DEDUP_WINDOW", "1s")
            // An entry whose replicas die one after the other must not become a dead letter for that.
            .env("HEMOSTAT_AGENT_ATTEMPTS_MAX", "1000")
            .env("HEMOSTAT_ALERT_ATTEMPTS_MAX", "1000");
        Member { role, process: Process::start(&mut command), started: Instant::now(), frozen_until: None }
    }

    /// Lets those go on whose time is over, and starts those again that ended by themselves.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            if member.frozen_until.is_some_and(|until| until <= now) {
                member.process.signal(Signal::CONT);
                member.frozen_until = None;
            }
            if START_AGAIN_AFTER < member.started.elapsed() && !member.process.is_running() {
                let role = member.role;
                self.members[place] = self.member(role);
                self.restarted += 1;
            }
        }
    }

    /// Kills a process of the role and starts another one in its place.
    pub(super) fn kill(&mut self, role: Role, place: usize) {
        let place = self.place(role, place);
        // The process is killed and waited for where it is dropped.
        self.members[place] = self.member(role);
    }

    /// Stops a process of the role for `span`. Others take over, and then it comes back and knows nothing of it.
    pub(super) fn freeze(&mut self, role: Role, place: usize, span: Duration) {
        let place = self.place(role, place);
        let member = &mut self.members[place];
        if member.process.is_running() {
            member.process.signal(Signal::STOP);
            member.frozen_until = Some(Instant::now() + span);
        }
    }

    /// The one that is meant, or the next that does not stand still already.
    fn place(&self, role: Role, place: usize) -> usize {
        let of_role: Vec<_> = (0..self.members.len()).filter(|at| self.members[*at].role == role).collect();
        let moving: Vec<_> =
            of_role.iter().copied().filter(|at| self.members[*at].frozen_until.is_none()).collect();
        let from = if moving.is_empty() { &of_role } else { &moving };
        from[place % from.len()]
    }

    /// Lets all go on.
    pub(super) fn thaw(&mut self) {
        for member in &mut self.members {
            if member.frozen_until.take().is_some() {
                member.process.signal(Signal::CONT);
            }
        }
    }

    /// Ends the processes of a role in order; what was not in order.
    pub(super) async fn end(&mut self, role: Role) -> Vec<String> {
        let mut unclean = Vec::new();
        let (ending, others) =
            std::mem::take(&mut self.members).into_iter().partition(|member| member.role == role);
        self.members = others;
        let ending: Vec<Member> = ending;
        for mut member in ending {
            if !member.process.is_running() {
                continue;
            }
            let (code, took) = member.process.terminate();
            if code != Some(0) {
                let said = member.process.said();
                unclean.push(format!("a {role} ended with {code:?} after {took:?}: {said:?}"));
            }
        }
        unclean
    }

    /// Ends all processes in order; what was not in order.
    pub(super) async fn end_all(&mut self) -> Vec<String> {
        let mut unclean = Vec::new();
        for (role, _) in REPLICAS {
            unclean.extend(self.end(role).await);
        }
        unclean
    }

    /// Processes that ended by themselves.
    pub(super) fn restarted(&self) -> usize {
        self.restarted
    }
}

/// The binary under test as a process that ends with this one, also when this one is killed, where the system has
/// `setpriv`.
fn tied(args: &[&str]) -> Command {
    let plain = rig::hemostat(args);
    let Some(setpriv) = on_path("setpriv") else { return plain };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| Path::is_file(file))
}
