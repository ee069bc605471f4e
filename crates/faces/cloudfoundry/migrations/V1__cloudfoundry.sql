-- A set of limits with a name: of a tenant's organizations, or (with an organization) of that organization's spaces.
CREATE TABLE cf_quotas (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT,
    name TEXT NOT NULL,
    paid BOOLEAN NOT NULL,
    memory_mb BIGINT,
    instance_memory_mb BIGINT,
    instances BIGINT,
    tasks BIGINT,
    log_rate BIGINT,
    services BIGINT,
    service_keys BIGINT,
    routes BIGINT,
    reserved_ports BIGINT,
    domains BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_quotas_of_tenant ON cf_quotas (tenant_id, name) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX cf_quotas_of_organization ON cf_quotas (organization_id, name) WHERE organization_id IS NOT NULL;

-- An organization; its allotment has the same id. So has a space's.
CREATE TABLE cf_organizations (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    quota_id TEXT NOT NULL REFERENCES cf_quotas (id),
    suspended BOOLEAN NOT NULL,
    billing_enabled BOOLEAN NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_organizations_name ON cf_organizations (tenant_id, name);
CREATE INDEX cf_organizations_quota ON cf_organizations (quota_id);

CREATE TABLE cf_spaces (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL REFERENCES cf_organizations (id),
    name TEXT NOT NULL,
    quota_id TEXT REFERENCES cf_quotas (id),
    allow_ssh BOOLEAN NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_spaces_name ON cf_spaces (organization_id, name);
CREATE INDEX cf_spaces_quota ON cf_spaces (quota_id) WHERE quota_id IS NOT NULL;

-- What a person is in an organization, or in a space of it.
CREATE TABLE cf_roles (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES cf_organizations (id) ON DELETE CASCADE,
    space_id TEXT REFERENCES cf_spaces (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_roles_organization ON cf_roles (organization_id, user_id, kind) WHERE space_id IS NULL;
CREATE UNIQUE INDEX cf_roles_space ON cf_roles (space_id, user_id, kind) WHERE space_id IS NOT NULL;
CREATE INDEX cf_roles_user ON cf_roles (user_id, organization_id);

-- People this API was told of, beside those who have come by themselves.
CREATE TABLE cf_users (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL
) {clustered};

-- An app; its claim has the same id, and takes nothing while the app is stopped.
CREATE TABLE cf_apps (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    space_id TEXT NOT NULL REFERENCES cf_spaces (id),
    name TEXT NOT NULL,
    started BOOLEAN NOT NULL,
    memory_mb BIGINT NOT NULL,
    instances BIGINT NOT NULL,
    disk_mb BIGINT NOT NULL,
    detail TEXT NOT NULL,
    version BIGINT NOT NULL,
    tasks_made BIGINT NOT NULL,
    started_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_apps_name ON cf_apps (space_id, name);

-- A task; while it runs it has a claim of the same id.
CREATE TABLE cf_tasks (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    space_id TEXT NOT NULL REFERENCES cf_spaces (id),
    app_id TEXT NOT NULL REFERENCES cf_apps (id),
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    command TEXT NOT NULL,
    running BOOLEAN NOT NULL,
    memory_mb BIGINT NOT NULL,
    disk_mb BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_tasks_app ON cf_tasks (app_id, number);
CREATE INDEX cf_tasks_space ON cf_tasks (space_id);

-- A domain: of all organizations of a tenant, or of one; that one's has a claim of the same id.
CREATE TABLE cf_domains (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT REFERENCES cf_organizations (id),
    name TEXT NOT NULL,
    router_group TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_domains_name ON cf_domains (tenant_id, name);
CREATE INDEX cf_domains_organization ON cf_domains (organization_id) WHERE organization_id IS NOT NULL;

-- A route; its claim has the same id. A port of 0 is none.
CREATE TABLE cf_routes (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    space_id TEXT NOT NULL REFERENCES cf_spaces (id),
    domain_id TEXT NOT NULL REFERENCES cf_domains (id),
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    port BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_routes_address ON cf_routes (domain_id, host, path, port);
CREATE INDEX cf_routes_space ON cf_routes (space_id);

-- A service instance; one of a plan has a claim of the same id, one that a user provides has none.
CREATE TABLE cf_service_instances (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    space_id TEXT NOT NULL REFERENCES cf_spaces (id),
    name TEXT NOT NULL,
    plan_id TEXT,
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_service_instances_name ON cf_service_instances (space_id, name);

-- A key of a service instance; its claim has the same id.
CREATE TABLE cf_service_keys (
    place {identity},
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    space_id TEXT NOT NULL REFERENCES cf_spaces (id),
    instance_id TEXT NOT NULL REFERENCES cf_service_instances (id),
    name TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cf_service_keys_name ON cf_service_keys (instance_id, name);
CREATE INDEX cf_service_keys_space ON cf_service_keys (space_id);

-- What v3 calls jobs. Each was done when it was answered; the rows are what a client polls.
CREATE TABLE cf_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX cf_jobs_age ON cf_jobs (created_at);
