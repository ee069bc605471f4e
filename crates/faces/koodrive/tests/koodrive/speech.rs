//! Languages, trace ids, and what is no path.

use serde_json::json;

use crate::house::{GET, House, V1};
use crate::signer::Signer;

on_both! {
    a_caller_is_answered_in_their_language
    a_trace_id_has_58_characters_and_comes_back
    what_is_no_path_and_what_is_no_method_is_told
    a_body_is_bounded_and_an_object
}

/// Checklist 15.
async fn a_caller_is_answered_in_their_language(house: House) {
    for (language, done, wrong) in [
        ("en-US", "Operation successful.", "Verify parameters failed."),
        ("zh-CN", "操作成功。", "参数校验失败。"),
        ("zh-cn", "操作成功。", "参数校验失败。"),
        ("de-DE", "Operation successful.", "Verify parameters failed."),
        ("", "Operation successful.", "Verify parameters failed."),
    ] {
        let signer = Signer { more: vec![("language", language.to_owned())], ..house.signer() };
        let told = house.call_as(&signer, "GET", GET, &[], None).await.expect(0).json();
        assert_eq!(told["msg"], done, "{language}");
        let told = house.call_as(&signer, "GET", &format!("{V1}/1"), &[], None).await.expect(13_000_102).json();
        assert_eq!(told["msg"], wrong, "{language}");
    }
    let stranger = [("language", "zh-CN".to_owned())];
    assert_eq!(house.send("GET", GET, &stranger, b"").await.expect(13_000_201).json()["msg"], "认证失败。");
}

/// Checklist 16.
async fn a_trace_id_has_58_characters_and_comes_back(house: House) {
    for (length, code) in [(57, 13_000_102), (58, 0), (59, 13_000_102), (0, 13_000_102)] {
        let trace = "t".repeat(length);
        let signer = Signer { more: vec![("x-traceid", trace.clone())], ..house.signer() };
        let answer = house.call_as(&signer, "GET", GET, &[], None).await.expect(code);
        assert_eq!(answer.header("x-traceid"), if code == 0 { &trace } else { "" });
    }
    let trace = [("x-traceid", "t".repeat(58))];
    let refused = house.send("GET", GET, &trace, b"").await.expect(13_000_201);
    assert_eq!(refused.header("x-traceid"), trace[0].1, "of a refused call, too");
    assert_eq!(house.get(GET, &[]).await.expect(0).header("x-traceid"), "");
}

async fn what_is_no_path_and_what_is_no_method_is_told(house: House) {
    for path in ["/koodrive", "/koodrive/", "/koodrive/ose/v1", "/koodrive/ose/v3/space/1", "/koodrive/ose/v1/space/"] {
        house.send("GET", path, &[], b"").await.expect(404);
    }
    let answer = house.send("PATCH", GET, &[], b"").await.expect(405);
    assert!(!answer.header("allow").is_empty());
}

async fn a_body_is_bounded_and_an_object(house: House) {
    let path = format!("{V1}/1");
    for body in [
        "",
        "[]",
        "null",
        "{",
        "\"text\"",
        &format!("{{\"type\":0,\"capacity\":1,\"x\":\"{}\"}}", "y".repeat(65 << 10)),
    ] {
        let headers = house.signer().headers("POST", &path, &[], body.as_bytes());
        house.send("POST", &path, &headers, body.as_bytes()).await.expect(13_000_102);
    }
    let deep = json!({ "type": 0, "capacity": 1, "capabilities": "none" });
    house.post(&path, deep).await.expect(13_000_102);
    let null = json!({ "type": 0, "capacity": 1, "capabilities": { "a": "\0" } });
    house.post(&path, null).await.expect(13_000_102);
    let odd = format!("{V1}/{}", "1".repeat(129));
    house.post(&odd, json!({ "type": 0, "capacity": 1 })).await.expect(13_000_102);
    assert_eq!(house.figures().await[0], (0, 2000));
}
