"""The profile "restricted" of Kubernetes' Pod Security Standards, rule by rule, over the spec of a pod."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Spec = dict[str, Any]

VOLUMES: Final = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"} | {
    "projected", "secret"
}  # fmt: skip
SYSCTLS: Final = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"} | {
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"
} | {f"net.ipv4.tcp_{name}" for name in ("keepalive_time", "fin_timeout", "keepalive_intvl", "keepalive_probes")} | {
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"
}  # fmt: skip
SELINUX: Final = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def containers(pod: Spec) -> Iterator[Spec]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, ())


def contexts(pod: Spec) -> Iterator[Spec]:
    """The pod's security context, then its containers'."""
    yield pod.get("securityContext", {})
    for one in containers(pod):
        yield one.get("securityContext", {})


def handlers(pod: Spec) -> Iterator[Spec]:
    for one in containers(pod):
        for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
            yield one.get(kind, {})
        yield from one.get("lifecycle", {}).values()


def everywhere(pod: Spec, name: str, holds: Callable[[Any], bool]) -> bool:
    """Whether it is said for the pod, or else by each container, and nowhere otherwise."""
    whole, *own = [context.get(name) for context in contexts(pod)]
    return all(holds(whole if one is None else one) for one in own) and (whole is None or holds(whole))


RULES: Final[Mapping[str, Callable[[Spec], bool]]] = {
    "HostProcess": lambda pod: not any(one.get("windowsOptions", {}).get("hostProcess") for one in contexts(pod)),
    "host namespaces": lambda pod: not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
    "privileged": lambda pod: not any(one.get("privileged") for one in contexts(pod)),
    "capabilities": lambda pod: all(
        "ALL" in (caps := one.get("securityContext", {}).get("capabilities", {})).get("drop", ())
        and {*caps.get("add", ())} <= {"NET_BIND_SERVICE"}
        for one in containers(pod)
    ),
    "volume types": lambda pod: all({*one} - {"name"} <= VOLUMES for one in pod.get("volumes", ())),
    "host ports": lambda pod: not any(port.get("hostPort") for one in containers(pod) for port in one.get("ports", ())),
    "hosts of probes": lambda pod: (
        not any(one.get(kind, {}).get("host") for one in handlers(pod) for kind in ("httpGet", "tcpSocket"))
    ),
    "AppArmor": lambda pod: all(
        one.get("appArmorProfile", {"type": "RuntimeDefault"})["type"] in ("RuntimeDefault", "Localhost")
        for one in contexts(pod)
    ),
    "SELinux": lambda pod: all(
        (said := one.get("seLinuxOptions", {})).get("type", "") in SELINUX and not {"user", "role"} & {*said}
        for one in contexts(pod)
    ),
    "/proc": lambda pod: all(one.get("procMount", "Default") == "Default" for one in contexts(pod)),
    "sysctls": lambda pod: {one["name"] for one in pod.get("securityContext", {}).get("sysctls", ())} <= SYSCTLS,
    "privilege escalation": lambda pod: all(
        one.get("securityContext", {}).get("allowPrivilegeEscalation") is False for one in containers(pod)
    ),
    "running as non-root": lambda pod: everywhere(pod, "runAsNonRoot", lambda said: said is True),
    "user": lambda pod: not any(one.get("runAsUser") == 0 for one in contexts(pod)),
    "seccomp": lambda pod: everywhere(
        pod, "seccompProfile", lambda said: bool(said) and said["type"] in ("RuntimeDefault", "Localhost")
    ),
}


def broken(pod: Spec) -> list[str]:
    """The rules that the pod breaks."""
    return [name for name, holds in RULES.items() if not holds(pod)]
