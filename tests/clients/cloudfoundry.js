// Cloud Foundry's v2, by a client of its time: cf-nodejs-client, unmodified.
//
//     node cloudfoundry.js URL USER PASSWORD ORGANIZATION        with NODE_PATH where the client is
//
// Every step says what it is about; the first that fails ends the run.
"use strict";

const assert = require("assert");
const cf = require("cf-nodejs-client");

const [url, user, password, organization] = process.argv.slice(2);

function step(what) {
    console.log(what);
}

/// A part of the client, with the token.
function part(Kind, token) {
    const made = new Kind(url);
    made.setToken(token);
    return made;
}

/// The call is refused with this code: the client rejects with the body.
async function refused(call, code) {
    let told;
    try {
        await call();
    } catch (error) {
        told = typeof error === "string" ? JSON.parse(error) : error;
    }
    assert.ok(told, `it was not refused with ${code}`);
    assert.strictEqual(told.code, code, JSON.stringify(told));
}

async function run() {
    step("what is here, and login");
    const info = await new cf.CloudController(url).getInfo();
    const uaa = new cf.UsersUAA(info.authorization_endpoint);
    const token = await uaa.login(user, password);
    assert.strictEqual(token.token_type, "bearer");

    step("quotas of organizations");
    const orgQuotas = part(cf.OrganizationsQuota, token);
    const quota = await orgQuotas.add({
        name: "node", non_basic_services_allowed: true, total_services: 10, total_routes: 20, memory_limit: 4096,
    });
    const one = await orgQuotas.getQuotaDefinition(quota.metadata.guid);
    assert.strictEqual(one.entity.memory_limit, 4096);
    const all = await orgQuotas.getQuotaDefinitions();
    assert.deepStrictEqual(all.resources.map((it) => it.entity.name).sort(), ["default", "node"]);

    step("organizations and spaces");
    const orgs = part(cf.Organizations, token);
    const known = await orgs.getOrganizations();
    assert.ok(known.resources.some((it) => it.entity.name === organization));
    const org = await orgs.add({ name: "node", quota_definition_guid: quota.metadata.guid });
    const guid = org.metadata.guid;
    const spaces = part(cf.Spaces, token);
    const space = await spaces.add({ name: "node", organization_guid: guid });
    assert.strictEqual((await spaces.getSpace(space.metadata.guid)).entity.organization_guid, guid);

    step("quotas of spaces are listed");
    const list = await part(cf.SpacesQuota, token).getQuotaDefinitions();
    assert.strictEqual(list.total_results, 0);

    step("apps, until the quota refuses");
    const apps = part(cf.Apps, token);
    const app = await apps.add({ name: "node", space_guid: space.metadata.guid, memory: 1024, instances: 4 });
    await apps.start(app.metadata.guid);
    assert.strictEqual(Object.keys(await apps.getInstances(app.metadata.guid)).length, 4);
    assert.strictEqual((await orgs.getMemoryUsage(guid)).memory_usage_in_mb, 4096);
    await refused(() => apps.update(app.metadata.guid, { instances: 5 }), 100005);
    assert.strictEqual((await apps.getSummary(app.metadata.guid)).instances, 4);
    const inSpace = await spaces.getSpaceApps(space.metadata.guid, { q: "name:node" });
    assert.strictEqual(inSpace.total_results, 1);
    await apps.stop(app.metadata.guid);

    step("the end of it all");
    await apps.remove(app.metadata.guid);
    await spaces.remove(space.metadata.guid, {});
    await orgs.remove(guid, {});
    await orgQuotas.remove(quota.metadata.guid);
    const left = await orgQuotas.getQuotaDefinitions();
    assert.strictEqual(left.total_results, 1);
    console.log("done");
}

run().catch((error) => {
    console.error(error);
    process.exit(1);
});
