//! The seed's printed example, for an app that expects it.

use serde_json::json;

use crate::house::{GET, House};
use crate::signer::Signer;

on_both! {
    an_app_may_have_the_printed_example_instead_of_the_table
    the_printed_request_is_understood_and_too_old
}

async fn an_app_may_have_the_printed_example_instead_of_the_table(house: House) {
    house.make("600", 0, 1000).await.expect(0);
    let signer = Signer { app: "example".into(), secret: "other".into(), ..house.signer() };
    let told = house.call_as(&signer, "GET", GET, &[], None).await.expect(0);
    let printed = "{\n  \"data\" : {\n    \"type\" : \"0\",\n    \"allocateCapacity\" : \"1000\",\n    \
        \"totalCapacity\" : \"2000\"\n  },\n  \"code\" : 0,\n  \"msg\" : \"Operation successful.\"\n}";
    let squeezed = printed.replace(" : ", ":").replace("\n", "").replace("  ", "");
    assert_eq!(String::from_utf8(told.body.to_vec()).unwrap(), squeezed);
    // Another app of the tenant, and whoever comes by a token, have the table.
    assert!(house.get(GET, &[]).await.expect(0).json()["data"].is_array());
    let token = [("authorization", format!("Bearer+{}", crate::house::TOKEN))];
    let told = house.send("GET", GET, &token, b"").await.expect(0).json();
    assert_eq!(told["data"][0], json!({ "type": 0, "allocateCapacity": 1000, "totalCapacity": 2000 }));
}

async fn the_printed_request_is_understood_and_too_old(house: House) {
    let signature = "HMAC-SHA256 AppId=a378331eca141163119eb602adb67b7802cc79cd33ba44c7d2fe61d1586c96a1,\
        SignedHeaders=host;x-date;x-user-id,\
        Signature=bd355f202be40f95bf9510fd7bd48ad711a7d144c01df07d515ee0fbf3a47416";
    let headers = [
        ("Authorization", signature.to_owned()),
        ("X-User-Id", "1505084218764547200".to_owned()),
        ("Host", "10.32.45.165".to_owned()),
        ("X-Date", "20240909T033325Z".to_owned()),
    ];
    house.send("GET", GET, &headers, b"").await.expect(13_000_201);
}
