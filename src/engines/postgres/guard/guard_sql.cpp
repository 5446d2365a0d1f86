#include "engines/postgres/guard/guard_sql.hpp"

#include <fmt/format.h>

namespace domicile {
namespace {

#include "guard_text.inc"

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string literal(std::string_view text) {
  return text.find('\\') == text.npos ? "'" + replaced(std::string(text), "'", "''") + "'"
                                      : " E'" + replaced(replaced(std::string(text), "\\", "\\\\"), "'", "''") + "'";
}

std::string event_trigger(std::string_view schema) { return fmt::format("{}_guard_follow", schema); }

// Nothing of the guard is for PUBLIC, but the triggers' functions and what the law's condition asks: whoever creates a
// partition needs EXECUTE on those that it gets from its parent, and whoever writes a row on that (and cannot name
// them: the schema is closed). The event trigger needs a superuser on PostgreSQL 15: without one, a new partition lacks
// its TRUNCATE trigger until the next reconcile pass sees it in guard_missing().
constexpr const char* kFinish = R"(
DO $d$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = '{{schema}}'::regnamespace LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
  FOR f IN SELECT oid FROM pg_catalog.pg_proc
           WHERE pronamespace = '{{schema}}'::regnamespace
             AND (prorettype = 'trigger'::regtype OR proname = 'guard_label') LOOP
    EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', f);
  END LOOP;
  IF pg_catalog.current_setting('is_superuser') = 'on' THEN
    DROP EVENT TRIGGER IF EXISTS {{event}};
    CREATE EVENT TRIGGER {{event}} ON ddl_command_end
      WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE', 'CREATE TRIGGER', 'DROP TRIGGER',
        'ALTER TRIGGER')
      EXECUTE FUNCTION {{schema}}.guard_follow();
    ALTER EVENT TRIGGER {{event}} ENABLE ALWAYS;
  END IF;
  PERFORM {{schema}}.guard_repair();
END $d$;
REVOKE ALL ON ALL TABLES IN SCHEMA {{schema}} FROM PUBLIC;
)";

constexpr const char* kUninstall = R"(
DO $d$
DECLARE o record;
BEGIN
  IF pg_catalog.to_regclass('{{schema}}.guard_table') IS NULL THEN RETURN; END IF;
  DROP EVENT TRIGGER IF EXISTS {{event}};
  FOR o IN SELECT t.tgname, t.tgrelid::regclass AS name FROM pg_catalog.pg_trigger t
           JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
           WHERE p.pronamespace = '{{schema}}'::regnamespace AND t.tgparentid = 0
             AND (t.tgname LIKE 'domicile\_guard\_%' OR t.tgname = '~domicile_law')
  LOOP
    EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', o.tgname, o.name);
  END LOOP;
  -- The very list that was found, also where it was "nothing said".
  UPDATE pg_catalog.pg_proc p SET proacl = a.acl FROM {{schema}}.guard_found_acl a WHERE a.function = p.oid;
  FOR o IN SELECT oid::regprocedure AS name FROM pg_catalog.pg_proc WHERE pronamespace = '{{schema}}'::regnamespace
           AND (proname ~ '^(guard|lease)_' OR proname IN ('clock', 'permit')) LOOP
    EXECUTE pg_catalog.format('DROP FUNCTION %s CASCADE', o.name);
  END LOOP;
  FOR o IN SELECT oid::regclass AS name FROM pg_catalog.pg_class
           WHERE relnamespace = '{{schema}}'::regnamespace AND relkind = 'S' AND relname ~ '^guard_' LOOP
    EXECUTE pg_catalog.format('DROP SEQUENCE %s', o.name);
  END LOOP;
  DROP VIEW IF EXISTS {{schema}}.guard_want;
  DROP TABLE IF EXISTS {{schema}}.guard_table, {{schema}}.guard_law, {{schema}}.guard_law_made,
    {{schema}}.guard_repairing, {{schema}}.guard_found_acl, {{schema}}.guard_lease, {{schema}}.guard_permit, {{schema}}.guard_setting;
END $d$;
)";

// What fires for a row. tgtype: 1 row, 4 insert, 8 delete, 16 update.
constexpr const char* kRowTriggersC = "('domicile_guard_row', 29, m.row_function, a.columns)";
constexpr const char* kRowTriggersPortable = R"(('domicile_guard_row', 5, m.row_function, a.columns),
  ('domicile_guard_change', 25,
   m.row_function || CASE m.row_function WHEN 'guard_directory' THEN '' ELSE '_change' END, a.columns))";

std::string filled(std::string text, std::string_view schema) {
  return replaced(replaced(std::move(text), "{{schema}}", schema), "{{event}}", event_trigger(schema));
}

}  // namespace

std::string install_sql(GuardForm form, std::string_view library_path, std::string_view schema) {
  const auto common =
      replaced(common_text, "{{row_triggers}}", form == GuardForm::c ? kRowTriggersC : kRowTriggersPortable);
  const auto body = form == GuardForm::c ? replaced(c_text, "'{{library}}'", literal(library_path)) : portable_text;
  // plpgsql bodies name functions of the form, which exist once both parts have run.
  return filled(common + body + kFinish, schema);
}

std::string uninstall_sql(std::string_view schema) { return filled(kUninstall, schema); }

std::string drop_directory_sql(std::string_view schema) {
  return fmt::format("DROP TABLE IF EXISTS {0}.host, {0}.tenant; DROP SCHEMA IF EXISTS {0};", schema);
}

std::string install_table_sql(std::string_view table, std::string_view tenant_column, std::string_view residency_column,
                              std::string_view schema) {
  return fmt::format("SELECT {}.guard_install_table({}::regclass, {}, {});", schema, literal(table),
                     literal(tenant_column), literal(residency_column));
}

std::string law_table_sql(std::string_view table, const desired::Law& law, std::string_view schema) {
  std::string arguments;
  for (const auto& argument : law.arguments) arguments += (arguments.empty() ? "" : ", ") + literal(argument);
  return fmt::format("SELECT {}.guard_law_table({}::regclass, {}, {});", schema, literal(table),
                     law.condition.empty() ? "NULL" : literal(law.condition),
                     law.arguments.empty() ? "NULL" : "ARRAY[" + arguments + "]");
}

std::string uninstall_table_sql(std::string_view table, std::string_view schema) {
  return fmt::format("SELECT {}.guard_uninstall_table({}::regclass);", schema, literal(table));
}

std::string grant_agent_sql(std::string_view role, std::string_view schema) {
  return fmt::format("SELECT {}.guard_grant({});", schema, literal(role));
}

}  // namespace domicile
