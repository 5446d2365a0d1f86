-- The demo's tables, made by hand in each region, as every schema change is: DDL is not replicated.
-- The application's role owns nothing: an owner could disable the guard's triggers.
begin;
create role app_owner nologin;
create role app login;
create schema app authorization app_owner;
set local role app_owner;

create table app.orders (
  id uuid not null,
  residency text not null,
  tenant_id text not null,
  customer_name text,  -- personal: a reduced copy has none
  customer_email text,
  amount numeric(12, 2) not null default 0,
  created_at timestamptz not null default now(),
  primary key (residency, id)
);
-- A link's row filter may only use columns of the replica identity.
alter table app.orders replica identity using index orders_pkey;
create index orders_by_id on app.orders (id);
create index orders_by_tenant on app.orders (tenant_id, created_at desc);

create table app.order_items (
  id uuid not null,
  residency text not null,
  tenant_id text not null,
  order_id uuid not null,
  sku text not null,
  quantity integer not null default 1,
  note text,
  primary key (residency, id),
  foreign key (residency, order_id) references app.orders (residency, id) on delete cascade
);
alter table app.order_items replica identity using index order_items_pkey;
create index order_items_by_order on app.order_items (residency, order_id);

grant usage on schema app to app;
grant select, insert, update, delete on app.orders, app.order_items to app;
commit;
