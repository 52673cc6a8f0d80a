//! How much memory this process may still take, and how much it has.

use std::path::Path;

/// The least of the kernel's `MemAvailable` and what the control groups above
/// this process leave; `None` where the kernel does not tell.
pub(crate) fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let machine = field_kib(&info, "MemAvailable:")? * 1024;
    Some(group_room().map_or(machine, |room| room.min(machine)))
}

/// Resident bytes of this process with its page tables.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| field_kib(&status, name).unwrap_or(0);
    (kib("VmRSS:") + kib("VmPTE:")) * 1024
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the tightest control group (version 2 or 1) leaves, ancestors included.
fn group_room() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(room_of_line).min()
}

/// A line is `hierarchy:controllers:path`; version 2 has no controllers.
fn room_of_line(line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (root, limit, usage) = if controllers.is_empty() {
        (Path::new("/sys/fs/cgroup"), "memory.max", "memory.current")
    } else if controllers.split(',').any(|name| name == "memory") {
        (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
    } else {
        return None;
    };
    let number = |file: &Path| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let room = |group: &Path| {
        let limit = number(&group.join(limit))?;
        Some(limit.saturating_sub(number(&group.join(usage))?))
    };
    let leaf = root.join(path);
    leaf.ancestors().take_while(|group| group.starts_with(root)).filter_map(room).min()
}
