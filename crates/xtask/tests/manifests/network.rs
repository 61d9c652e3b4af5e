//! How pods are reached, and by whom.

use serde_json::{Value, json};

use crate::Rule;
use crate::settings::node;
use crate::variant::Variant;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        why: "every selector is the pods' labels",
        holds: |v| {
            let all = selectors(v);
            all.len() == 9 && all.iter().all(|selector| *selector == v.pod_labels())
        },
        breaks: &[
            ("pods", "", "/spec/template/metadata/labels/app.kubernetes.io~1name", r#""cache""#),
            ("pods", "", "/spec/selector/matchLabels", "{}"),
            ("Service", "", "/spec/selector/app.kubernetes.io~1instance", r#""other""#),
            ("Service", "-nodes", "/spec/selector", r#"{"app.kubernetes.io/name": "winter"}"#),
            ("PodDisruptionBudget", "", "/spec/selector/matchLabels", "{}"),
            ("NetworkPolicy", "", "/spec/podSelector", "{}"),
        ],
    },
    Rule {
        why: "the headless service has the name that nodes ask for, and a stateful set governs by it",
        holds: |v| {
            let service = v.object("Service", "-nodes");
            let name = format!("{}-nodes", v.name);
            service["spec"]["clusterIP"] == "None"
                && node(&v.environment()).is_some_and(|node| node.dns_service_name == name)
                && (!v.is_stateful() || v.workload()["spec"]["serviceName"] == name.as_str())
        },
        breaks: &[
            ("Service", "-nodes", "/spec/clusterIP", r#""10.0.0.1""#),
            ("pods", "", "/spec/template/spec/containers/0/env/1/value", r#""winter-node""#),
            ("pods", "", "/spec/serviceName", r#""winter""#),
        ],
    },
    Rule {
        why: "nodes find each other before they are ready, and clients only those that are",
        holds: |v| {
            v.object("Service", "-nodes")["spec"]["publishNotReadyAddresses"] == true
                && v.object("Service", "")["spec"]["publishNotReadyAddresses"].is_null()
        },
        breaks: &[
            ("Service", "-nodes", "/spec/publishNotReadyAddresses", "false"),
            ("Service", "", "/spec", r#"{"publishNotReadyAddresses": true}"#),
        ],
    },
    Rule {
        why: "services lead to the ports of the same name, and keep their numbers",
        holds: |v| {
            let Some(node) = node(&v.environment()) else { return false };
            let Some(cluster) = &node.config.cluster else { return false };
            let port =
                |name: &str, port: Value| json!({"name": name, "port": port, "targetPort": name});
            let client = port("client", json!(node.config.port));
            let http = port("http", json!(node.config.http_port));
            let peer = port("peer", json!(cluster.peer_port));
            v.object("Service", "")["spec"]["ports"] == json!([client, http])
                && v.object("Service", "-nodes")["spec"]["ports"] == json!([peer])
        },
        breaks: &[
            ("Service", "", "/spec/ports/0/port", "80"),
            ("Service", "", "/spec/ports/1/targetPort", r#""client""#),
            ("Service", "-nodes", "/spec/ports/0/targetPort", r#""client""#),
        ],
    },
    Rule {
        why: "only nodes of the cluster reach the peer port, and nodes only them and the DNS",
        holds: |v| {
            let Some(node) = node(&v.environment()) else { return false };
            let Some(cluster) = &node.config.cluster else { return false };
            let tcp = |port: Value| json!({"port": port, "protocol": "TCP"});
            let (peer, udp) =
                (tcp(json!(cluster.peer_port)), json!({"port": 53, "protocol": "UDP"}));
            let own = json!([{"podSelector": {"matchLabels": v.pod_labels()}}]);
            let clients = json!([
                {"podSelector": {}},
                {"namespaceSelector": {"matchLabels": {"winter-clients": "allowed"}}},
            ]);
            let open = [tcp(json!(node.config.port)), tcp(json!(node.config.http_port))];
            let spec = &v.object("NetworkPolicy", "")["spec"];
            spec["policyTypes"] == json!(["Ingress", "Egress"])
                && spec["ingress"]
                    == json!([{"from": own, "ports": [peer]}, {"from": clients, "ports": open}])
                && spec["egress"]
                    == json!([{"to": own, "ports": [peer]}, {"ports": [udp, tcp(json!(53))]}])
        },
        breaks: &[
            ("NetworkPolicy", "", "/spec/policyTypes", r#"["Ingress"]"#),
            ("NetworkPolicy", "", "/spec/ingress/0/from", "[]"),
            ("NetworkPolicy", "", "/spec/ingress/0/ports/0/port", "6063"),
            ("NetworkPolicy", "", "/spec/ingress/1/ports/0/port", "6062"),
            ("NetworkPolicy", "", "/spec/egress/1/ports/0/protocol", r#""TCP""#),
        ],
    },
    Rule {
        why: "a scrape asks the port of metrics",
        holds: |v| {
            let annotations = &v.workload()["spec"]["template"]["metadata"]["annotations"];
            let port =
                annotations["prometheus.io/port"].as_str().and_then(|port| port.parse().ok());
            annotations["prometheus.io/path"] == "/metrics"
                && annotations["prometheus.io/scrape"] == "true"
                && port.is_some()
                && node(&v.environment()).is_some_and(|node| node.config.http_port == port)
        },
        breaks: &[(
            "pods",
            "",
            "/spec/template/metadata/annotations/prometheus.io~1port",
            r#""6060""#,
        )],
    },
];

/// Whether a pod with `labels` is one that `selector` means.
pub(crate) fn selected(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("labels");
    wanted.iter().all(|(key, value)| labels[key] == *value)
}

/// Everything that picks pods by their labels.
fn selectors(v: &Variant) -> Vec<&Value> {
    let policy = &v.object("NetworkPolicy", "")["spec"];
    let affinity = &v.pod()["affinity"]["podAntiAffinity"];
    let preferred = &affinity["preferredDuringSchedulingIgnoredDuringExecution"][0];
    vec![
        v.selector(),
        &v.object("Service", "")["spec"]["selector"],
        &v.object("Service", "-nodes")["spec"]["selector"],
        &v.object("PodDisruptionBudget", "")["spec"]["selector"]["matchLabels"],
        &policy["podSelector"]["matchLabels"],
        &policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"],
        &policy["egress"][0]["to"][0]["podSelector"]["matchLabels"],
        &preferred["podAffinityTerm"]["labelSelector"]["matchLabels"],
        &v.pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
}
