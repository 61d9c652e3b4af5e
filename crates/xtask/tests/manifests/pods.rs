//! What a pod is: its settings, its ports, what it may do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Rule;
use crate::settings::{Node, node};
use crate::variant::Variant;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        why: "the environment holds settings, and the server takes them",
        holds: |v| v.environment_length() == v.environment().len() && read(v).is_some(),
        breaks: &[
            ("pods", "", "/spec/template/spec/containers/0/env/0/name", r#""IS_DISTRIBUTD""#),
            ("pods", "", "/spec/template/spec/containers/0/env/0/value", "true"),
            ("pods", "", "/spec/template/spec/containers/0/env/0/value", r#""perhaps""#),
            ("pods", "", "/spec/template/spec/containers/0/env/0/value", r#""false""#),
            ("pods", "", "/spec/template/spec/containers/0/env/4/value", r#""30 seconds""#),
        ],
    },
    Rule {
        why: "the container's ports are those that the server listens on",
        holds: |v| read(v).is_some_and(|node| v.container()["ports"] == ports(&node)),
        breaks: &[
            ("pods", "", "/spec/template/spec/containers/0/ports/0/containerPort", "6379"),
            ("pods", "", "/spec/template/spec/containers/0/ports/1/containerPort", "6060"),
            ("pods", "", "/spec/template/spec/containers/0/ports/2/name", r#""nodes""#),
            ("pods", "", "/spec/template/spec/containers/0/env/4/name", r#""WINTER_PEER_PORT""#),
        ],
    },
    Rule {
        why: "a cluster is founded by as many nodes as are started",
        holds: |v| read(v).is_some_and(|node| node.size == v.replicas()),
        breaks: &[
            ("pods", "", "/spec/replicas", "1"),
            ("pods", "", "/spec/template/spec/containers/0/env/3/value", r#""2""#),
        ],
    },
    Rule {
        why: "a pod is not killed before its wait and its drain are over, with time to spare",
        holds: |v| {
            let wait = v.container()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
            let grace = v.pod()["terminationGracePeriodSeconds"].as_u64().map(Duration::from_secs);
            let needed = |node: Node| {
                Some(node.config.drain_timeout + Duration::from_secs(wait.filter(|&s| s > 0)? + 10))
            };
            read(v).and_then(needed).is_some_and(|needed| grace > Some(needed))
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/terminationGracePeriodSeconds", "40"),
            ("pods", "", "/spec/template/spec/containers/0/env/4/value", r#""1m""#),
            ("pods", "", "/spec/template/spec/containers/0/lifecycle/preStop/sleep", "{}"),
        ],
    },
    Rule {
        why: "liveness asks whether the process runs, and readiness whether it is a member",
        holds: |v| {
            let asked = |probe: &str| v.container()[probe]["httpGet"].clone();
            asked("livenessProbe") == json!({"path": "/livez", "port": "http"})
                && asked("readinessProbe") == json!({"path": "/readyz", "port": "http"})
        },
        breaks: &[
            (
                "pods",
                "",
                "/spec/template/spec/containers/0/livenessProbe/httpGet/path",
                r#""/readyz""#,
            ),
            ("pods", "", "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "6060"),
        ],
    },
    Rule {
        why: "a node that is slow for half a minute is not restarted: its data would be lost",
        holds: |v| {
            let probe = &v.container()["livenessProbe"];
            let [period, failures] = ["periodSeconds", "failureThreshold"].map(|key| &probe[key]);
            period.as_u64().zip(failures.as_u64()).is_some_and(|(s, n)| s * n > 30)
        },
        breaks: &[(
            "pods",
            "",
            "/spec/template/spec/containers/0/livenessProbe/failureThreshold",
            "3",
        )],
    },
    Rule {
        why: "a pod may do nothing but compute and talk",
        holds: |v| {
            let (pod, container) = (&v.pod()["securityContext"], &v.container()["securityContext"]);
            pod["runAsNonRoot"] == true
                && pod["runAsUser"] == 65_532
                && pod["runAsGroup"] == 65_532
                && pod["seccompProfile"] == json!({"type": "RuntimeDefault"})
                && container["allowPrivilegeEscalation"] == false
                && container["readOnlyRootFilesystem"] == true
                && container["capabilities"] == json!({"drop": ["ALL"]})
                && ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"]
                    .iter()
                    .all(|key| v.pod()[key].is_null())
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/securityContext/runAsNonRoot", "false"),
            ("pods", "", "/spec/template/spec/securityContext/runAsUser", "0"),
            (
                "pods",
                "",
                "/spec/template/spec/securityContext/seccompProfile/type",
                r#""Unconfined""#,
            ),
            ("pods", "", "/spec/template/spec/containers/0/securityContext/capabilities", "{}"),
            (
                "pods",
                "",
                "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
                "false",
            ),
            (
                "pods",
                "",
                "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
                "true",
            ),
        ],
    },
    Rule {
        why: "a pod's account is its own, has no role, and its token is not in the pod",
        holds: |v| {
            v.pod()["serviceAccountName"] == v.name.as_str()
                && v.pod()["automountServiceAccountToken"] == false
                && v.object("ServiceAccount", "")["automountServiceAccountToken"] == false
                && v.objects.iter().all(|object| !crate::variant::kind(object).contains("Role"))
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/serviceAccountName", r#""default""#),
            ("pods", "", "/spec/template/spec/automountServiceAccountToken", "true"),
            ("ServiceAccount", "", "/automountServiceAccountToken", "true"),
            ("NetworkPolicy", "", "/kind", r#""RoleBinding""#),
        ],
    },
    Rule {
        why: "a service named winter puts no WINTER_PORT into the environment",
        holds: |v| v.pod()["enableServiceLinks"] == false,
        breaks: &[("pods", "", "/spec/template/spec/enableServiceLinks", "true")],
    },
    Rule {
        why: "memory is granted as it is asked for, and both resources have limits",
        holds: |v| {
            let resources = &v.container()["resources"];
            let (requests, limits) = (&resources["requests"], &resources["limits"]);
            limits["memory"].is_string()
                && requests["memory"] == limits["memory"]
                && requests["cpu"].is_string()
                && limits["cpu"].is_string()
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/containers/0/resources/requests/memory", r#""64Mi""#),
            ("pods", "", "/spec/template/spec/containers/0/resources/limits", "{}"),
        ],
    },
    Rule {
        why: "the image is the one that was built, and is pulled only where it is not there",
        holds: |v| {
            v.container()["image"] == "winter:latest"
                && v.container()["imagePullPolicy"] == "IfNotPresent"
                && v.pod()["containers"].as_array().is_some_and(|all| all.len() == 1)
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/containers/0/imagePullPolicy", r#""Always""#),
            ("pods", "", "/spec/template/spec/containers/0/image", r#""winter""#),
        ],
    },
];

fn read(variant: &Variant) -> Option<Node> {
    node(&variant.environment())
}

/// The ports that a node listens on, as a container lists them.
fn ports(node: &Node) -> Value {
    let peer_port = node.config.cluster.as_ref().map(|cluster| cluster.peer_port);
    json!([
        {"name": "client", "containerPort": node.config.port},
        {"name": "http", "containerPort": node.config.http_port},
        {"name": "peer", "containerPort": peer_port},
    ])
}
