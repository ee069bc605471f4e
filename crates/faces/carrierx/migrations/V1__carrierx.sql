CREATE TABLE partners (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    folder_id TEXT NOT NULL,
    name TEXT NOT NULL,
    login TEXT,
    password TEXT,
    default_container_id TEXT,
    created_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX partners_name ON partners (tenant_id, name);
CREATE UNIQUE INDEX partners_login ON partners (login) WHERE login IS NOT NULL;

CREATE TABLE partner_tokens (
    sha256 TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL
) {clustered};
CREATE INDEX partner_tokens_partner ON partner_tokens (partner_id);

CREATE TABLE containers (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id),
    parent_id TEXT,
    claim_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    encrypted BOOLEAN NOT NULL,
    allow_publish BOOLEAN NOT NULL,
    allowed_classifications TEXT NOT NULL,
    blocked_classifications TEXT NOT NULL,
    default_file_lifecycle_action TEXT NOT NULL,
    default_file_lifecycle_ttl BIGINT NOT NULL,
    default_file_publish TEXT NOT NULL,
    default_file_threshold_include BOOLEAN NOT NULL,
    default_file_unique BOOLEAN NOT NULL,
    external_attributes TEXT NOT NULL,
    integer_key_1 BIGINT,
    integer_key_2 BIGINT,
    string_key_1 TEXT,
    string_key_2 TEXT,
    string_key_3 TEXT,
    string_key_4 TEXT,
    threshold_action TEXT,
    threshold_bytes BIGINT,
    threshold_bytes_target BIGINT,
    threshold_files BIGINT,
    threshold_files_target BIGINT,
    threshold_grace_period BIGINT NOT NULL,
    is_unique BOOLEAN NOT NULL,
    unique_key TEXT,
    over_since BIGINT
) {clustered};
CREATE INDEX containers_partner ON containers (partner_id, created_at, id);
CREATE INDEX containers_parent ON containers (parent_id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX containers_unique ON containers (partner_id, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX containers_clearing ON containers (id) WHERE threshold_action IS NOT NULL;

CREATE TABLE container_attributes (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (container_id, name)
) {clustered};

CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    container_id TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    blob_id TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    date_modified BIGINT NOT NULL,
    date_last_accessed BIGINT,
    expires_at BIGINT,
    content_classification TEXT NOT NULL,
    content_format TEXT,
    desired_bitrate BIGINT,
    desired_format TEXT,
    access_name TEXT NOT NULL,
    integer_key_1 BIGINT,
    integer_key_2 BIGINT,
    string_key_1 TEXT,
    string_key_2 TEXT,
    string_key_3 TEXT,
    string_key_4 TEXT,
    lifecycle_action TEXT NOT NULL,
    lifecycle_ttl BIGINT NOT NULL,
    mime_type TEXT NOT NULL,
    name TEXT NOT NULL,
    parent_id TEXT,
    publish TEXT NOT NULL,
    threshold_include BOOLEAN NOT NULL,
    kind TEXT NOT NULL,
    is_unique BOOLEAN NOT NULL,
    unique_key TEXT
);
CREATE INDEX files_partner ON files (partner_id, created_at, id);
CREATE INDEX files_container ON files (container_id, created_at, id);
CREATE UNIQUE INDEX files_access_name ON files (container_id, access_name);
CREATE UNIQUE INDEX files_unique ON files (container_id, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX files_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX files_exempt ON files (container_id) WHERE NOT threshold_include;
