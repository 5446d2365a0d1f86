-- After `domicile apply`: what the application may read of the directory, to set the residency of a row. It holds no
-- personal data.
begin;
grant usage on schema domicile to app;
grant select on domicile.tenant to app;
commit;
