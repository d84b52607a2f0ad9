//! The OpenAPI document says what the panel does.

use serde_json::{Value, json};

use crate::bench::{Bench, SMALL};

fn document(bench: &Bench) -> Value {
    bench.get_json("/openapi.json")
}

/// Why a value does not fit a schema; nothing if it does. As much of JSON Schema as the document uses.
fn misfit(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target =
            document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"));
        return misfit(document, target, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| misfit(document, choice, value, at).is_none()).count();
        return (fits != 1).then(|| format!("{at}: {fits} choices fit {value}"));
    }
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    if !types.iter().any(is) {
        return Some(format!("{at}: {value} is no {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return Some(format!("{at}: {value} is not listed"));
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| misfit(document, &schema["items"], item, at)),
        Value::Object(members) => {
            let required = schema["required"].as_array().unwrap().iter();
            let missing =
                required.map(|name| name.as_str().unwrap()).find(|name| !members.contains_key(*name));
            missing.map(|name| format!("{at}: no {name}")).or_else(|| {
                members.iter().find_map(|(name, member)| match schema["properties"].get(name) {
                    None => Some(format!("{at}: {name} is not described")),
                    Some(schema) => misfit(document, schema, member, &format!("{at}/{name}")),
                })
            })
        }
        _ => None,
    }
}

#[test]
fn every_method_of_every_path_is_described_and_no_other_is_there() {
    let bench = Bench::new();
    let document = document(&bench);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10);
    for (path, described) in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = bench.ask(method, path, &json!({}));
            let served = answer.status != 405;
            assert_eq!(served, described.get(method.to_lowercase()).is_some(), "{method} {path}");
            let refusals: Vec<&String> = described[method.to_lowercase()]["responses"]
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::keys)
                .collect();
            assert!(
                !served || refusals.contains(&&answer.status.to_string()),
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}

#[test]
fn answers_fit_their_schemas() {
    let bench = Bench::new();
    bench.tap(SMALL);
    bench.post("/v1/keys", &json!({ "keys": ["read", "previous"] }));
    let rules = json!({ "rules": [{ "amount": SMALL }, { "screen": "never", "keys": ["confirm"] }] });
    assert_eq!(bench.ask("PUT", "/v1/automation", &rules).status, 200);
    let document = document(&bench);
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            assert_eq!(misfit(&document, schema, &bench.get_json(path), path), None);
            checked += 1;
        }
    }
    assert_eq!(checked, 7);
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let done = bench.post("/v1/field", &json!({ "on": true }));
    assert_eq!(misfit(&document, &schema("Done"), &done, "done"), None);
    let problem = bench.ask("POST", "/v1/keys", &json!({ "keys": ["next"] })).json();
    assert_eq!(misfit(&document, &schema("Problem"), &problem, "problem"), None);
    assert!(misfit(&document, &schema("Done"), &problem, "x").is_some(), "the check can fail");
}
