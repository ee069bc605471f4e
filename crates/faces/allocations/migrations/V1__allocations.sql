CREATE TABLE repositories (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    bucket TEXT NOT NULL,
    region TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    irsa_role_arn TEXT NOT NULL,
    access_key_masked TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_id TEXT,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX projects_tenant ON projects (tenant_id, id);

CREATE TABLE project_members (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (project_id, user_id)
) {clustered};
CREATE INDEX project_members_user ON project_members (user_id, project_id);

CREATE TABLE allocations (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    owner_type TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    repository_id TEXT NOT NULL REFERENCES repositories (id),
    parent_id TEXT,
    is_default BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX allocations_default ON allocations (owner_type, owner_id) WHERE is_default;
CREATE INDEX allocations_owner ON allocations (owner_type, owner_id, id);
CREATE INDEX allocations_tenant ON allocations (tenant_id, created_at, id);
CREATE INDEX allocations_repository ON allocations (repository_id, created_at, id);
CREATE INDEX allocations_parent ON allocations (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE collections (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    title TEXT NOT NULL,
    owner_type TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    parent_id TEXT REFERENCES collections (id),
    allocation_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX collections_tenant ON collections (tenant_id, id);
CREATE INDEX collections_parent ON collections (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX collections_allocation ON collections (allocation_id) WHERE allocation_id IS NOT NULL;

CREATE TABLE assets (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    title TEXT NOT NULL,
    owner_type TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    creator_id TEXT NOT NULL,
    collection_id TEXT REFERENCES collections (id),
    allocation_id TEXT,
    description TEXT NOT NULL,
    alias TEXT NOT NULL,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    is_locked BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX assets_tenant ON assets (tenant_id, id);
CREATE INDEX assets_collection ON assets (collection_id, id) WHERE collection_id IS NOT NULL;
CREATE INDEX assets_allocation ON assets (allocation_id) WHERE allocation_id IS NOT NULL;

CREATE TABLE records (
    id TEXT NOT NULL PRIMARY KEY,
    allocation_id TEXT NOT NULL,
    asset_id TEXT REFERENCES assets (id),
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX records_allocation ON records (allocation_id, created_at, id);
CREATE INDEX records_asset ON records (asset_id, created_at, id) WHERE asset_id IS NOT NULL;

CREATE TABLE record_files (
    record_id TEXT NOT NULL,
    name TEXT NOT NULL,
    blob_id TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 {blob} NOT NULL,
    data_type TEXT NOT NULL,
    counts_record BOOLEAN NOT NULL,
    PRIMARY KEY (record_id, name)
) {clustered};

CREATE TABLE transfers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    status TEXT NOT NULL,
    files TEXT NOT NULL,
    protocols TEXT NOT NULL,
    bytes_transferred BIGINT NOT NULL,
    completed_files TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX transfers_tenant ON transfers (tenant_id, id);
CREATE INDEX transfers_record ON transfers (record_id);
