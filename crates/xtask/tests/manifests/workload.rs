//! How pods are started, spread and replaced.

use serde_json::json;

use crate::Rule;
use crate::variant::kind;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        why: "the folder holds what it should, in the namespace that kubectl is in",
        holds: |v| {
            let mut kinds: Vec<&str> = v.objects.iter().map(kind).collect();
            kinds.retain(|kind| !["StatefulSet", "Deployment"].contains(kind));
            let wanted =
                ["NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Service", "Service"];
            kinds == wanted
                && v.objects.iter().all(|object| object["metadata"]["namespace"].is_null())
        },
        breaks: &[
            ("NetworkPolicy", "", "/kind", r#""Ingress""#),
            ("PodDisruptionBudget", "", "/metadata", r#"{"name": "x", "namespace": "other"}"#),
        ],
    },
    Rule {
        why: "pods start together: none is ready before there are enough to found a cluster",
        holds: |v| !v.is_stateful() || v.workload()["spec"]["podManagementPolicy"] == "Parallel",
        breaks: &[("StatefulSet", "", "/spec/podManagementPolicy", r#""OrderedReady""#)],
    },
    Rule {
        why: "an update takes one pod at a time, and the next when this one has stayed ready",
        holds: |v| {
            let spec = &v.workload()["spec"];
            let careful = if v.is_stateful() {
                spec["updateStrategy"] == json!({"type": "RollingUpdate"})
            } else {
                let careful = json!({"maxSurge": 1, "maxUnavailable": 0});
                spec["strategy"] == json!({"type": "RollingUpdate", "rollingUpdate": careful})
            };
            careful && spec["minReadySeconds"].as_u64() >= Some(5)
        },
        breaks: &[
            ("StatefulSet", "", "/spec/updateStrategy/type", r#""OnDelete""#),
            ("Deployment", "", "/spec/strategy/rollingUpdate/maxUnavailable", "1"),
            ("Deployment", "", "/spec/strategy", r#"{"type": "Recreate"}"#),
            ("pods", "", "/spec/minReadySeconds", "0"),
        ],
    },
    Rule {
        why: "one pod at the most is evicted at a time, and none while another is missing",
        holds: |v| {
            let spec = &v.object("PodDisruptionBudget", "")["spec"];
            spec["maxUnavailable"] == 1
                && spec["minAvailable"].is_null()
                && spec["unhealthyPodEvictionPolicy"] == "IfHealthyBudget"
        },
        breaks: &[
            ("PodDisruptionBudget", "", "/spec/maxUnavailable", "2"),
            ("PodDisruptionBudget", "", "/spec/unhealthyPodEvictionPolicy", r#""AlwaysAllow""#),
        ],
    },
    Rule {
        why: "pods are spread over machines and zones where there are any, and one machine will do",
        holds: |v| {
            let affinity = &v.pod()["affinity"]["podAntiAffinity"];
            let preferred = &affinity["preferredDuringSchedulingIgnoredDuringExecution"][0];
            let zones = &v.pod()["topologySpreadConstraints"][0];
            affinity["requiredDuringSchedulingIgnoredDuringExecution"].is_null()
                && preferred["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
                && zones["topologyKey"] == "topology.kubernetes.io/zone"
                && zones["whenUnsatisfiable"] == "ScheduleAnyway"
                && v.pod()["nodeSelector"].is_null()
        },
        breaks: &[
            ("pods", "", "/spec/template/spec/affinity/podAntiAffinity", "{}"),
            (
                "pods",
                "",
                "/spec/template/spec/topologySpreadConstraints/0/whenUnsatisfiable",
                r#""DoNotSchedule""#,
            ),
        ],
    },
];
