//! Tells in which container this process runs, if in any: HemoStat must not act on itself.
//!
//! Relies on two views the kernel gives of a process. Its control group carries the container's id unless the
//! container has a cgroup namespace of its own (the default on cgroup v2); then the files the engine mounts into
//! every container (`/etc/hostname` and the like) come from a folder that is named by the id.

use hemostat_event::ContainerId;

#[cfg(test)]
mod tests;

/// Files an engine mounts into each of its containers. Only these mounts count: on a host with an engine the
/// mount table names the ids of all containers.
const ENGINE_MOUNTS: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The container this process runs in; `None` on a host.
#[must_use]
pub fn self_container_id() -> Option<ContainerId> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    parse_container_id(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
}

/// The container named in the contents of `/proc/self/cgroup` and `/proc/self/mountinfo`.
#[must_use]
pub fn parse_container_id(cgroup: &str, mountinfo: &str) -> Option<ContainerId> {
    cgroup.lines().find_map(of_cgroup).or_else(|| mountinfo.lines().find_map(of_mount))
}

/// `4:memory:/docker/<id>`, `0::/system.slice/docker-<id>.scope`, `0::/…/libpod-<id>.scope/container`.
fn of_cgroup(line: &str) -> Option<ContainerId> {
    let path = line.splitn(3, ':').nth(2)?;
    // The innermost container is the one this process is in.
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        full_id(part.rsplit('-').next()?)
    })
}

/// `36 35 98:0 /docker/containers/<id>/hostname /etc/hostname rw …`: fields 4 and 5 of proc(5) are the folder
/// within the mounted file system and the mount point.
fn of_mount(line: &str) -> Option<ContainerId> {
    let mut fields = line.split(' ').skip(3);
    let (root, mount_point) = (fields.next()?, fields.next()?);
    if !ENGINE_MOUNTS.contains(&mount_point) {
        return None;
    }
    root.rsplit('/').find_map(full_id)
}

/// Engines name a container by 64 digits; anything shorter is something else.
fn full_id(text: &str) -> Option<ContainerId> {
    (text.len() == 64).then(|| ContainerId::new(text).ok()).flatten()
}
