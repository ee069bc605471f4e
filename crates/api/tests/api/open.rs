//! What is open to everybody, and paths and methods that are not there.

use serde_json::json;

use crate::house::House;

on_both! {
    the_server_says_that_it_is_up_and_ready
    the_figures_are_prometheus_text
    the_description_and_its_page_name_every_route
    a_path_or_a_method_that_is_not_there_is_a_problem
}

async fn the_server_says_that_it_is_up_and_ready(house: House) {
    assert_eq!(house.stranger().get("//healthz").await.expect(200).text(), "ok");
    house.stranger().get("//readyz").await.expect(200);
    house.store.close().await;
    // An answer is kept for a moment.
    let away = async {
        loop {
            let answer = house.stranger().get("//readyz").await;
            if answer.status != 200 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let away = tokio::time::timeout(std::time::Duration::from_secs(20), away).await.expect("it says that it cannot");
    assert!(away.header("retry-after").is_some());
    away.problem(503, "unavailable");
    house.stranger().get("//healthz").await.expect(200);
}

async fn the_figures_are_prometheus_text(house: House) {
    house.claim("path:acme", 1).await;
    let answer = house.stranger().get("//metrics").await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let text = answer.text();
    for line in
        ["# TYPE plimsoll_units_total counter", "plimsoll_breaches_total 0", "plimsoll_build_info{version=\"1.2.3\"} 1"]
    {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

async fn the_description_and_its_page_name_every_route(house: House) {
    let description = house.stranger().get("/openapi.json").await.expect(200).json();
    assert_eq!((&description["openapi"], &description["info"]["version"]), (&json!("3.1.0"), &json!("1.2.3")));
    assert!(description["components"]["schemas"]["Amounts"]["properties"]["gpus"].is_object());
    let page = house.stranger().get("//docs").await.expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text();
    assert!(!html.contains("<script") && !html.contains("style="), "nothing but text and our own style");
    for route in api::routes().iter().filter(|route| !route.is_open) {
        assert!(description["paths"][route.path][route.method]["responses"].is_object(), "{route:?}");
        assert!(html.contains(&format!("<code>{}</code>", route.path)), "{route:?}");
    }
    let style = house.stranger().get("//docs/style.css").await.expect(200);
    assert!(style.header("content-type").unwrap().starts_with("text/css"));
}

async fn a_path_or_a_method_that_is_not_there_is_a_problem(house: House) {
    for path in ["", "/nothing", "/allotments/x/y", "/claims/a/b/c"] {
        house.admin().get(path).await.problem(404, "not-found");
    }
    let answer = house.admin().delete("/claims").await;
    let allow = answer.header("allow").unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    answer.problem(405, "method-not-allowed");
}
