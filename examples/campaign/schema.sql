-- The ledger of the demo's service: registers, append-only lists and banks, with a personal note in each row.
begin;
create role app_owner nologin;
create role app login;
create schema app authorization app_owner;
set local role app_owner;

create table app.registers (
  id text not null,
  residency text not null,
  tenant_id text not null,
  value bigint,
  note text,
  primary key (residency, id)
);
alter table app.registers replica identity using index registers_pkey;

create table app.lists (
  id text not null,
  residency text not null,
  tenant_id text not null,
  items bigint[],
  note text,
  primary key (residency, id)
);
alter table app.lists replica identity using index lists_pkey;

create table app.accounts (
  bank text not null,
  number integer not null,
  residency text not null,
  tenant_id text not null,
  balance bigint,
  note text,
  primary key (residency, bank, number)
);
alter table app.accounts replica identity using index accounts_pkey;

create table app.transfers (
  id bigint not null,
  residency text not null,
  tenant_id text not null,
  bank text not null,
  from_account integer not null,
  to_account integer not null,
  amount bigint not null,
  note text,
  primary key (residency, id)
);
alter table app.transfers replica identity using index transfers_pkey;

grant usage on schema app to app;
grant select, insert, update, delete on all tables in schema app to app;
commit;
