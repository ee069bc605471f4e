CREATE TABLE allotments (
    id TEXT NOT NULL PRIMARY KEY,
    side TEXT NOT NULL,
    parent_id TEXT,
    root_id TEXT NOT NULL,
    depth BIGINT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner_id TEXT,
    managed TEXT,
    overcommit_permille BIGINT,
    load_lines TEXT NOT NULL,
    expires_at BIGINT,
    frozen BOOLEAN NOT NULL,
    children BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX allotments_path ON allotments (side, path);
CREATE INDEX allotments_parent ON allotments (parent_id, id);
CREATE INDEX allotments_owner ON allotments (owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE balances (
    allotment_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    quota BIGINT,
    used BIGINT NOT NULL,
    pending BIGINT NOT NULL,
    promised TEXT NOT NULL,
    PRIMARY KEY (allotment_id, resource)
) {clustered};

CREATE TABLE claims (
    id TEXT NOT NULL PRIMARY KEY,
    demand_id TEXT,
    supply_id TEXT,
    amounts TEXT NOT NULL,
    state TEXT NOT NULL,
    expires_at BIGINT,
    subject TEXT,
    managed TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX claims_expiry ON claims (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX claims_subject ON claims (subject) WHERE subject IS NOT NULL;

-- Which claims lie on an allotment. A claim comes into `claims_new`, in the order of time, and is moved to `claims_at`, in
-- the order of allotments, with many others at once: see `place.rs`.
CREATE TABLE claims_new (
    claim_id TEXT NOT NULL PRIMARY KEY,
    demand_id TEXT NOT NULL
) {clustered};
CREATE TABLE claims_at (
    demand_id TEXT NOT NULL,
    claim_id TEXT NOT NULL,
    PRIMARY KEY (demand_id, claim_id)
) {clustered};

CREATE TABLE journal (
    seq {identity},
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    tenant_id TEXT,
    allotment_id TEXT,
    path TEXT,
    subject TEXT,
    detail TEXT NOT NULL{writer_column}
);
CREATE INDEX journal_tenant ON journal (tenant_id, seq);
-- Who settles a claim that has expired is told that it has.
CREATE INDEX journal_expired ON journal (subject) WHERE kind = 'claim.expired';

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    tenant_id TEXT,
    created_by TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    lease_until BIGINT,
    progress BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX jobs_due ON jobs (state, run_at);

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint {blob} NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal, route, key)
) {clustered};
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) {clustered};
