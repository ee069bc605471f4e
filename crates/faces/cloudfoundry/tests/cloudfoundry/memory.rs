//! What apps and tasks take: the checklist's items 48 to 52 and 58 to 63.

use serde_json::{Value, json};

use crate::house::{House, ORG};

on_both! {
    memory_of_a_space_is_memory_times_instances
    a_stopped_app_takes_nothing_and_is_refused_when_started
    an_organizations_limit_holds_under_its_spaces
    one_instance_has_a_limit_of_its_own
    instances_are_counted
    tasks_take_memory_and_a_place
    usage_agrees_with_the_sum_of_its_parts
    a_limit_below_use_lets_stop_and_shrink
    of_parallel_starts_as_many_succeed_as_there_is_room
    a_space_without_a_quota_is_bound_by_its_organization
    apps_have_rules_of_their_own
    a_change_that_takes_no_more_is_let_through
}

const MB: &str = "memory_in_mb";

async fn put(house: &House, app: &str, body: Value) -> crate::house::Answer {
    house.admin.put(&format!("/v2/apps/{app}"), body).await
}

async fn memory_of_a_space_is_memory_times_instances(house: House) {
    // Checklist 48.
    let space = house.space("dev").await;
    house.limit_space(&space, json!({ "memory_limit": 1024 })).await;
    let app = house.app(&space, "app", 512, 2).await;
    house.start(&app).await.expect(201);
    let told = put(&house, &app, json!({ "instances": 3 })).await.refused(400, 310_003);
    assert_eq!(told, "You have exceeded your space's memory limit: app requested more memory than available");
    assert_eq!(house.usage(&space).await.0[MB], 1024);
    assert_eq!(house.admin.get(&format!("/v2/apps/{app}")).await.json()["entity"]["instances"], 2);
    let scale = format!("/v3/processes/{app}/actions/scale");
    let told = house.admin.post(&scale, json!({ "memory_in_mb": 513 })).await.refused_v3(422, 10008);
    assert_eq!(told, "memory space_quota_exceeded");
    house.assert_sound().await;
}

async fn a_stopped_app_takes_nothing_and_is_refused_when_started(house: House) {
    // Checklist 49.
    let space = house.space("dev").await;
    house.limit_space(&space, json!({ "memory_limit": 1024 })).await;
    let (small, large) = (house.app(&space, "small", 512, 1).await, house.app(&space, "large", 1024, 1).await);
    house.app(&space, "vast", 1 << 20, 100).await;
    house.start(&small).await.expect(201);
    house.start(&large).await.refused(400, 310_003);
    house.admin.post(&format!("/v3/apps/{large}/actions/start"), json!({})).await.refused_v3(422, 10008);
    house.stop(&small).await;
    house.start(&large).await.expect(201);
    assert_eq!(house.usage(&space).await.0[MB], 1024);
    house.admin.delete(&format!("/v2/apps/{large}")).await.expect(204);
    assert_eq!(house.usage(&space).await.0[MB], 0);
    let body = json!({ "name": "born", "space_guid": space, "memory": 2048, "state": "STARTED" });
    house.admin.post("/v2/apps", body).await.refused(400, 310_003);
    house.assert_sound().await;
}

async fn an_organizations_limit_holds_under_its_spaces(house: House) {
    // Checklist 50: a finite organization under an unlimited space, a space above its organization, both exceeded.
    let space = house.space("dev").await;
    house.limit_org(json!({ "memory_limit": 1024 })).await;
    house.limit_space(&space, json!({ "memory_limit": 4096 })).await;
    let app = house.app(&space, "app", 2048, 1).await;
    let told = house.start(&app).await.refused(400, 100_005);
    assert_eq!(told, "You have exceeded your organization's memory limit: app requested more memory than available");
    put(&house, &app, json!({ "memory": 8192 })).await.expect(201);
    house.start(&app).await.refused(400, 310_003);
    let told = house.admin.post(&format!("/v3/apps/{app}/actions/start"), json!({})).await.refused_v3(422, 10008);
    assert_eq!(told, "memory space_quota_exceeded, memory quota_exceeded");
    // Spaces share their organization's room.
    let other = house.space("prod").await;
    let (one, two) = (house.app(&space, "one", 600, 1).await, house.app(&other, "two", 600, 1).await);
    house.start(&one).await.expect(201);
    house.start(&two).await.refused(400, 100_005);
    house.assert_sound().await;
}

async fn one_instance_has_a_limit_of_its_own(house: House) {
    // Checklist 51.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    let quota = house.limit_space(&space, json!({ "instance_memory_limit": 256 })).await;
    let app = house.app(&space, "app", 512, 1).await;
    let told = house.start(&app).await.refused(400, 310_004);
    assert_eq!(told, "You have exceeded the instance memory limit for your space's quota.");
    house.admin.delete(&format!("/v2/space_quota_definitions/{quota}")).await.expect(204);
    house.limit_org(json!({ "instance_memory_limit": 256 })).await;
    let app = house.app(&other, "app", 512, 1).await;
    house.start(&app).await.refused(400, 100_007);
    put(&house, &app, json!({ "memory": 256, "instances": 50, "state": "STARTED" })).await.expect(201);
    // A rule comes before an organization's sums, and after a space's.
    house.limit_space(&space, json!({ "instance_memory_limit": 100, "memory_limit": 100_000 })).await;
    let app = house.app(&space, "big", 20_000, 1).await;
    house.start(&app).await.refused(400, 310_004);
    let task = json!({ "command": "x", "memory_in_mb": 300 });
    let told = house.admin.post(&format!("/v3/apps/{app}/tasks"), task).await.refused_v3(422, 10008);
    let wanted =
        "memory_in_mb exceeds organization instance memory quota, memory_in_mb exceeds space instance memory quota";
    assert_eq!(told, wanted);
    house.assert_sound().await;
}

async fn instances_are_counted(house: House) {
    // Checklist 52.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    house.limit_space(&space, json!({ "app_instance_limit": 2 })).await;
    let app = house.app(&space, "app", 1, 2).await;
    house.start(&app).await.expect(201);
    let told = put(&house, &app, json!({ "instances": 3 })).await.refused(400, 310_008);
    assert_eq!(told, "You have exceeded the instance limit for your space's quota.");
    let scale = format!("/v3/apps/{app}/processes/web/actions/scale");
    let told = house.admin.post(&scale, json!({ "instances": 3 })).await.refused_v3(422, 10008);
    assert_eq!(told, "app_instance_limit space_app_instance_limit_exceeded");
    house.limit_org(json!({ "app_instance_limit": 3 })).await;
    let app = house.app(&other, "app", 1, 2).await;
    house.start(&app).await.refused(400, 100_008);
    put(&house, &app, json!({ "instances": 1, "state": "STARTED" })).await.expect(201);
    assert_eq!(house.usage(&space).await.1["started_instances"], 3);
    house.assert_sound().await;
}

async fn tasks_take_memory_and_a_place(house: House) {
    // Checklist 58 and 59.
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({ "app_task_limit": 1, "memory_limit": 1024 })).await;
    let app = house.app(&space, "app", 512, 1).await;
    house.start(&app).await.expect(201);
    let tasks = format!("/v3/apps/{app}/tasks");
    let told = house.admin.post(&tasks, json!({ "command": "x", "memory_in_mb": 513 })).await.refused_v3(422, 10008);
    assert_eq!(told, "memory_in_mb exceeds space memory quota");
    let task = house.admin.post(&tasks, json!({ "command": "x", "memory_in_mb": 512 })).await.expect(202).json();
    assert_eq!((task["state"].clone(), task["sequence_id"].clone()), (json!("RUNNING"), json!(1)));
    assert_eq!(house.usage(&space).await.0[MB], 1024);
    let told = house.admin.post(&tasks, json!({ "command": "x", "memory_in_mb": 1 })).await.refused_v3(422, 10008);
    assert_eq!(told, "memory_in_mb exceeds space memory quota, app_task_limit quota exceeded");
    let change = json!({ "memory_limit": -1 });
    house.admin.put(&format!("/v2/space_quota_definitions/{quota}"), change).await.expect(201);
    let told = house.admin.post(&tasks, json!({ "command": "x", "memory_in_mb": 1 })).await.refused_v3(422, 10008);
    assert_eq!(told, "app_task_limit quota exceeded");
    let path = format!("/v3/tasks/{}", task["guid"].as_str().unwrap());
    let told = house.admin.post(&format!("{path}/actions/cancel"), json!({})).await.expect(202).json();
    assert_eq!(told["state"], "CANCELING");
    assert_eq!(house.admin.get(&path).await.expect(200).json()["state"], "FAILED");
    house.admin.post(&format!("{path}/actions/cancel"), json!({})).await.refused_v3(422, 10008);
    house.admin.post(&tasks, json!({ "command": "y", "name": null, "droplet_guid": null })).await.expect(202);
    let list = house.admin.get(&tasks).await.expect(200).json();
    assert_eq!(list["pagination"]["total_results"], 2);
    assert_eq!(house.admin.get("/v3/tasks?states=RUNNING").await.json()["pagination"]["total_results"], 1);
    let told = house.admin.post(&tasks, json!({ "memory_in_mb": 0 })).await.refused_v3(422, 10008);
    assert_eq!(told, "No command or template provided, Memory in mb must be greater than 0");
    house.admin.delete(&format!("/v2/apps/{app}")).await.expect(204);
    assert_eq!(house.usage(&space).await.0["per_app_tasks"], 0);
    house.assert_sound().await;
}

async fn usage_agrees_with_the_sum_of_its_parts(house: House) {
    // Checklist 60.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    let (one, two) = (house.app(&space, "one", 100, 3).await, house.app(&other, "two", 10, 7).await);
    let check = async |memory: [u64; 2], instances: [u64; 2]| {
        let told = house.usage(&space).await;
        assert_eq!((told.0[MB].clone(), told.1[MB].clone()), (json!(memory[0]), json!(memory[0] + memory[1])));
        assert_eq!(told.0["started_instances"], instances[0]);
        let path = format!("/v2/organizations/{ORG}");
        let of = house.admin.get(&format!("{path}/memory_usage")).await.expect(200).json();
        assert_eq!(of, json!({ "memory_usage_in_mb": memory[0] + memory[1] }));
        let of = house.admin.get(&format!("{path}/instance_usage")).await.expect(200).json();
        assert_eq!(of, json!({ "instance_usage": instances[0] + instances[1] }));
        let site = house.admin.get("/v3/info/usage_summary").await.expect(200).json();
        assert_eq!(site["usage_summary"][MB], memory[0] + memory[1]);
        house.assert_sound().await;
    };
    check([0, 0], [0, 0]).await;
    house.start(&one).await.expect(201);
    check([300, 0], [3, 0]).await;
    house.start(&two).await.expect(201);
    check([300, 70], [3, 7]).await;
    put(&house, &one, json!({ "instances": 1, "memory": 50 })).await.expect(201);
    check([50, 70], [1, 7]).await;
    let task = json!({ "command": "x", "memory_in_mb": 5 });
    house.admin.post(&format!("/v3/apps/{one}/tasks"), task).await.expect(202);
    check([55, 70], [1, 7]).await;
    put(&house, &one, json!({ "instances": 0 })).await.expect(201);
    check([5, 70], [0, 7]).await;
    house.stop(&two).await;
    check([5, 0], [0, 0]).await;
    assert_eq!(house.mallory.get("/v3/info/usage_summary").await.json()["usage_summary"][MB], 0);
    house.ana.get("/v3/info/usage_summary").await.expect(404);
}

async fn a_limit_below_use_lets_stop_and_shrink(house: House) {
    // Checklist 61.
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({ "memory_limit": 1024 })).await;
    let (one, two) = (house.app(&space, "one", 256, 2).await, house.app(&space, "two", 256, 2).await);
    house.start(&one).await.expect(201);
    house.start(&two).await.expect(201);
    let path = format!("/v2/space_quota_definitions/{quota}");
    house.admin.put(&path, json!({ "memory_limit": 100 })).await.expect(201);
    assert_eq!(house.usage(&space).await.0[MB], 1024, "nothing is evicted");
    put(&house, &one, json!({ "instances": 3 })).await.refused(400, 310_003);
    put(&house, &one, json!({ "instances": 1 })).await.expect(201);
    house.stop(&one).await;
    house.start(&one).await.refused(400, 310_003);
    house.admin.delete(&format!("/v2/apps/{two}")).await.expect(204);
    house.assert_sound().await;
}

async fn of_parallel_starts_as_many_succeed_as_there_is_room(house: House) {
    // Checklist 62.
    let space = house.space("dev").await;
    house.limit_space(&space, json!({ "memory_limit": 1024 })).await;
    let mut apps = Vec::new();
    for number in 0..32 {
        apps.push(house.app(&space, &format!("app-{number}"), 128, 1).await);
    }
    let starts = apps.into_iter().map(|app| {
        let admin = house.admin.clone();
        tokio::spawn(async move { admin.put(&format!("/v2/apps/{app}"), json!({ "state": "STARTED" })).await })
    });
    let (mut started, mut refused) = (0, 0);
    for start in futures_util::future::join_all(starts).await {
        let answer = start.unwrap();
        match answer.status.as_u16() {
            201 => started += 1,
            _ => {
                answer.refused(400, 310_003);
                refused += 1;
            }
        }
    }
    assert_eq!((started, refused), (8, 24));
    assert_eq!(house.usage(&space).await.0[MB], 1024);
    house.assert_sound().await;
}

async fn a_space_without_a_quota_is_bound_by_its_organization(house: House) {
    // Checklist 63.
    let space = house.space("dev").await;
    house.limit_org(json!({ "memory_limit": 100, "app_instance_limit": 2 })).await;
    let app = house.app(&space, "app", 101, 1).await;
    house.start(&app).await.refused(400, 100_005);
    put(&house, &app, json!({ "memory": 1, "instances": 3, "state": "STARTED" })).await.refused(400, 100_008);
    put(&house, &app, json!({ "memory": 50, "instances": 2, "state": "STARTED" })).await.expect(201);
}

async fn apps_have_rules_of_their_own(house: House) {
    let space = house.space("dev").await;
    let asked = |but: Value| crate::house::with(json!({ "name": "app", "space_guid": space }), but);
    let made = house.admin.post("/v2/apps", asked(json!({}))).await.expect(201);
    let entity = made.json()["entity"].take();
    assert_eq!((entity["memory"].clone(), entity["instances"].clone()), (json!(1024), json!(1)));
    assert_eq!((entity["state"].clone(), entity["package_state"].clone()), (json!("STOPPED"), json!("PENDING")));
    let told = house.admin.post("/v2/apps", asked(json!({}))).await.refused(400, 100_002);
    assert_eq!(told, "The app name is taken: app");
    let told = house.admin.post("/v2/apps", asked(json!({ "memory": 0, "name": "x" }))).await.refused(400, 100_006);
    assert_eq!(told, "You have specified an invalid amount of memory for your application.");
    let told = house.admin.post("/v2/apps", asked(json!({ "instances": -1, "name": "x" }))).await.refused(400, 100_001);
    assert!(told.ends_with("Number of instances less than 0"), "{told}");
    let told = house.admin.post("/v2/apps", asked(json!({ "state": "RUN", "name": "x" }))).await.refused(400, 100_001);
    assert!(told.ends_with("Invalid app state provided"), "{told}");
    let path = made.header("location");
    let told = house.admin.get(&format!("{path}/instances")).await.refused(400, 220_001);
    let wanted = "Instances error: Request failed for app: app as the app is in stopped state.";
    assert_eq!(told, wanted);
    house.start(&made.guid()).await.expect(201);
    let told = house.admin.get(&format!("{path}/instances")).await.expect(200).json();
    assert_eq!(told["0"]["state"], "RUNNING");
    assert_eq!(house.admin.get(&format!("{path}/summary")).await.expect(200).json()["instances"], 1);
    house.ben.put(path, json!({ "state": "STOPPED" })).await.refused(403, 10003);
    house.make_developer(&space, &house.ben).await;
    house.ben.put(path, json!({ "state": "STOPPED" })).await.expect(201);
    house.mallory.put(path, json!({ "state": "STARTED" })).await.refused(404, 100_004);
    house.make_manager(&house.ana).await;
    house.ana.get(path).await.expect(200);
    house.ana.put(path, json!({ "state": "STARTED" })).await.refused(403, 10003);
}

async fn a_change_that_takes_no_more_is_let_through(house: House) {
    // Section 7: not as Cloud Controller does, which refuses any save of a started app while it is over.
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({})).await;
    let app = house.app(&space, "app", 512, 2).await;
    house.start(&app).await.expect(201);
    let path = format!("/v2/space_quota_definitions/{quota}");
    let tight = json!({ "memory_limit": 1, "instance_memory_limit": 1, "app_instance_limit": 0 });
    house.admin.put(&path, tight).await.expect(201);
    put(&house, &app, json!({ "name": "renamed" })).await.expect(201);
    put(&house, &app, json!({ "instances": 1 })).await.expect(201);
    put(&house, &app, json!({ "memory": 400 })).await.expect(201);
    put(&house, &app, json!({ "memory": 401 })).await.refused(400, 310_003);
    house.stop(&app).await;
    house.assert_sound().await;
}
