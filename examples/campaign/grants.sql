-- After `domicile apply`: the directory, and what the ledger tells with each answer: in which epoch it was given.
begin;
grant usage on schema domicile to app;
grant select on domicile.tenant to app;
grant execute on function domicile.guard_state(), domicile.guard_now() to app;
commit;
