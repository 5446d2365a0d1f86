// Leaks through agent, gate, quorum and what lies beside them: what they write and what they answer.
#include <zlib.h>

#include <fstream>

#include "base/http_client.hpp"
#include "base/http_server.hpp"
#include "census/plant.hpp"
#include "prove/leaks.hpp"

namespace domicile::prove {
namespace {

using census::Canary;

// In place, as the program itself appends: written anew it would be another file.
Result<void> append(const fs::path& file, const std::string& line) {
  std::ofstream out(file, std::ios::app);
  out << line << "\n" << std::flush;
  if (!out) return fail(Kind::failed, "cannot write to " + file.string());
  return {};
}

Result<Expected> log_of_agent(Scene& scene, const Canary& canary) {
  CHECK_OK(
      append(scene.folder() / "logs" / "agent.log",
             fmt::format(R"({{"level":"error","reason":"{}"}})", census::to_json(canary.value, "0123456789abcdef"))));
  return Expected{scene.place("logs"), "/agent.log"};
}

Result<Expected> state_of_agent(Scene& scene, const Canary& canary) {
  CHECK_OK(append(scene.folder() / "agent" / "switches.journal",
                  fmt::format(R"({{"step":"leak","row":"{}"}})", census::to_base64("customer_name=" + canary.value))));
  return Expected{scene.place("agent"), "/switches.journal"};
}

Result<Expected> denials_of_gate(Scene& scene, const Canary& canary) {
  CHECK_OK(append(scene.folder() / "gate" / "denials",
                  fmt::format(R"({{"id":"leak-1","rule":"column","what":"\\x{}"}})", census::to_hex(canary.value))));
  return Expected{scene.place("gate"), "/denials"};
}

Result<Expected> rotated_log(Scene& scene, const Canary& canary) {
  const fs::path file = scene.folder() / "logs" / "demo.log.1.gz";
  const std::string text = "order of " + canary.email() + "\n";
  const gzFile out = ::gzopen(file.c_str(), "wb");
  if (out == nullptr) return fail(Kind::failed, "cannot write " + file.string());
  const bool written = ::gzwrite(out, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size());
  if (::gzclose(out) != Z_OK || !written) return fail(Kind::failed, "cannot write " + file.string());
  return Expected{scene.place("logs"), "/demo.log.1.gz", "gzip"};
}

Result<Expected> name_of_a_file(Scene& scene, const Canary& canary) {
  CHECK_OK(write_file(scene.folder() / "stall" / canary.value, ""));
  return Expected{scene.place("stall"), "", "name"};
}

// A switch's reason is a person's words: the owner's agent keeps them among its events. The body that the gateway still
// waits for makes this switch roll back.
Result<Expected> reason_in_events(Scene& scene, const Canary& canary) {
  const auto* rules = topology::residency_of(scene.field->topology(), scene.served);
  if (rules->standby.empty()) return fail(Kind::refused, scene.served + " has no standby");
  Result<Json> ordered;
  if (!await(20 * kSecond, [&] {
        ordered = scene.field->agent(
            scene.site, "POST", "/v1/switch",
            {{"residency", scene.served}, {"to", rules->standby[0].str()}, {"reason", canary.value}}, 10 * kSecond);
        return ordered.has_value();
      }))
    return tl::unexpected<Error>(ordered.error());
  return Expected{scene.place("answers"), "/agent/"};
}

// Stands before the agent's socket, passes everything on, and adds a label of its own to the metrics.
Result<Expected> label_of_metrics(Scene& scene, const Canary& canary) {
  const fs::path run = scene.folder() / "run", socket = run / "agent.sock", moved = run / "agent-behind.sock";
  std::error_code code;
  fs::rename(socket, moved, code);
  if (code) return fail(Kind::failed, "cannot move the agent's socket: " + code.message());
  auto server =
      TRY(HttpServer::start({.unix_socket = socket.string()}, [moved, value = canary.value](const HttpCall& call) {
        HttpClient behind({}, moved.string());
        std::string query;
        for (const auto& [name, text] : call.query) query += (query.empty() ? "?" : "&") + name + "=" + text;
        const auto answer = behind.send({call.method, "http://agent" + call.path + query, {}, call.body, 10 * kSecond});
        if (!answer) return HttpReply{503, "{}"};
        if (call.path != "/metrics") return HttpReply{static_cast<int>(answer->status), answer->body};
        return HttpReply{200, answer->body + "domicile_orders{customer=\"" + value + "\"} 1\n", "text/plain"};
      }));
  scene.kept.push_back(std::make_shared<HttpServer>(std::move(server)));
  return Expected{scene.place("answers"), "/agent/"};
}

// With the site's certificate, whose name is its user's: over gRPC etcd needs no password then.
Result<Expected> key_in_etcd(Scene& scene, const Canary& canary) {
  const auto at = scene.field->service(scene.site, scene.site, lab::etcd_client);
  const fs::path certs = scene.field->directory() / "certs", own = certs / scene.site;
  auto put = TRY(scene.field->start_inside(
      scene.site, {.argv = {"etcdctl", "--endpoints", fmt::format("https://{}:{}", at.address, at.port), "--cacert",
                            (certs / "ca.pem").string(), "--cert", (own / "site.pem").string(), "--key",
                            (own / "site.key").string(), "put", "domicile/authority/leak", canary.value},
                   .env = {{"ETCDCTL_API", "3"}},
                   .output = (scene.field->directory() / "lab.log").string()}));
  if (put.wait_for(20 * kSecond).value_or(-1) != 0)
    return fail(Kind::failed, "etcdctl cannot put a key", "see lab.log");
  return Expected{scene.place("etcd"), "/etcd/member/"};
}

}  // namespace

std::vector<Planting> control_leaks() {
  return {{"agent", "its log", log_of_agent},
          {"agent", "its journal", state_of_agent},
          {"agent", "a switch's reason, among its events", reason_in_events},
          {"agent", "a label of a metric", label_of_metrics},
          {"gate", "its denials", denials_of_gate},
          {"application", "a rotated log", rotated_log},
          {"files", "a file's name", name_of_a_file},
          {"quorum", "a key in etcd", key_in_etcd}};
}

}  // namespace domicile::prove
