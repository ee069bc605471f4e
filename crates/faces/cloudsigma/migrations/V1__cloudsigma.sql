CREATE TABLE storage_types (
    name TEXT NOT NULL PRIMARY KEY,
    allotment_id TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    size_min BIGINT NOT NULL,
    size_max BIGINT NOT NULL,
    places TEXT NOT NULL
) {clustered};

CREATE TABLE drive_licenses (
    name TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    long_name TEXT NOT NULL,
    user_metric TEXT NOT NULL
) {clustered};

CREATE TABLE drives (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT,
    owner_id TEXT,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    media TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    wanted_bytes BIGINT,
    storage_type TEXT NOT NULL,
    place BIGINT NOT NULL,
    status TEXT NOT NULL,
    allow_multimount BOOLEAN NOT NULL,
    affinities TEXT NOT NULL,
    meta TEXT NOT NULL,
    licenses TEXT NOT NULL,
    licenses_fixed BOOLEAN NOT NULL,
    source_id TEXT,
    chunk_bytes BIGINT,
    image TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drives_owner ON drives (owner_id, created_at, id);
CREATE INDEX drives_name ON drives (owner_id, name);
CREATE INDEX drives_source ON drives (source_id) WHERE source_id IS NOT NULL;
CREATE INDEX drives_library ON drives (created_at, id) WHERE owner_id IS NULL;
CREATE INDEX drives_status ON drives (status, id) WHERE status IN ('creating', 'cloning_dst');

CREATE TABLE drive_snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    drive_id TEXT NOT NULL REFERENCES drives (id),
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    meta TEXT NOT NULL,
    media TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    storage_type TEXT NOT NULL,
    place BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drive_snapshots_owner ON drive_snapshots (owner_id, created_at, id);
CREATE INDEX drive_snapshots_drive ON drive_snapshots (drive_id, created_at, id);

CREATE TABLE drive_servers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    status TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drive_servers_owner ON drive_servers (owner_id, created_at, id);
CREATE INDEX drive_servers_running ON drive_servers (status, id) WHERE status <> 'stopped';

CREATE TABLE drive_mounts (
    server_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    drive_id TEXT NOT NULL,
    boot_order BIGINT,
    device TEXT NOT NULL,
    dev_channel TEXT NOT NULL,
    PRIMARY KEY (server_id, position)
) {clustered};
CREATE INDEX drive_mounts_drive ON drive_mounts (drive_id, server_id);

CREATE TABLE drive_tags (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    meta TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX drive_tags_name ON drive_tags (owner_id, name);

CREATE TABLE drive_tagged (
    tag_id TEXT NOT NULL REFERENCES drive_tags (id),
    resource_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (tag_id, resource_id)
) {clustered};
CREATE INDEX drive_tagged_resource ON drive_tagged (resource_id, tag_id);

CREATE TABLE drive_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL,
    parent_id TEXT,
    target_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    progress BIGINT NOT NULL,
    resources TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drive_jobs_owner ON drive_jobs (owner_id, created_at, id);
CREATE INDEX drive_jobs_target ON drive_jobs (target_id);
CREATE INDEX drive_jobs_ended ON drive_jobs (updated_at) WHERE state <> 'started';
CREATE INDEX drive_jobs_parent ON drive_jobs (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE drive_job_resources (
    resource_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (resource_id, job_id)
) {clustered};
CREATE INDEX drive_job_resources_job ON drive_job_resources (job_id);

CREATE TABLE drive_users (
    drive_id TEXT NOT NULL PRIMARY KEY REFERENCES drives (id),
    owner_id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drive_users_owner ON drive_users (owner_id, created_at, drive_id);

CREATE TABLE drive_chunks (
    drive_id TEXT NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    PRIMARY KEY (drive_id, number)
) {clustered};

CREATE TABLE drive_chunk_links (
    sha256 {blob} NOT NULL PRIMARY KEY,
    drive_id TEXT NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) {clustered};
CREATE INDEX drive_chunk_links_drive ON drive_chunk_links (drive_id, expires_at);

CREATE TABLE drive_profiles (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    clone_naming TEXT NOT NULL,
    fields TEXT NOT NULL
) {clustered};
