use super::*;

const ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

#[test]
fn the_control_group_names_the_container() {
    for cgroup in [
        // Docker on cgroup v1, with the driver cgroupfs.
        format!("12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n0::/system.slice/containerd.service\n"),
        // Docker on cgroup v1, with the driver systemd.
        format!("2:cpu,cpuacct:/system.slice/docker-{ID}.scope\n"),
        // Docker on cgroup v2, in the host's cgroup namespace.
        format!("0::/system.slice/docker-{ID}.scope\n"),
        // Podman with and without root.
        format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
        format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n"),
        // Docker in Docker: the inner container is the one.
        format!("4:memory:/docker/{OTHER}/docker/{ID}\n"),
    ] {
        assert_eq!(parse_container_id(&cgroup, ""), ContainerId::new(ID).ok(), "{cgroup}");
    }
}

#[test]
fn the_engines_mounts_name_it_where_the_control_group_does_not() {
    for mountinfo in [
        format!(
            "1391 1385 0:58 / / rw,relatime - overlay overlay rw\n\
             1403 1391 254:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw\n\
             1404 1391 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw\n"
        ),
        format!(
            "801 790 0:50 /containers/overlay-containers/{ID}/userdata/hosts /etc/hosts rw,nosuid - tmpfs tmpfs rw\n"
        ),
    ] {
        assert_eq!(parse_container_id("0::/\n", &mountinfo), ContainerId::new(ID).ok(), "{mountinfo}");
    }
}

#[test]
fn a_host_with_an_engine_is_not_a_container() {
    let cgroup =
        "12:pids:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-3.scope\n0::/init.scope\n";
    let mountinfo = format!(
        "25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
         310 25 0:58 / /var/lib/docker/overlay2/{OTHER}/merged rw,relatime - overlay overlay rw\n\
         311 25 0:59 / /var/lib/docker/containers/{ID}/mounts/shm rw,nosuid - tmpfs shm rw\n"
    );
    assert_eq!(parse_container_id(cgroup, &mountinfo), None);
}

#[test]
fn what_cannot_be_read_is_a_host() {
    for text in ["", "\n\n", "nonsense", "0::", "1 2 3", "4:memory:/docker/0123456789ab"] {
        assert_eq!(parse_container_id(text, text), None, "{text}");
    }
}
