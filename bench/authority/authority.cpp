// obeyed, everywhere: from a committed change until nginx obeys, see everywhere.hpp. Beside them `renamed`: from the
// rename of a new authority.snap until every worker of one gateway obeys it, which is nginx's part alone. A worker that
// has missed a generation counts with the time at which it obeyed a later one.
#include <algorithm>

#include "../gateway/site.hpp"
#include "everywhere.hpp"

using namespace domicile;

static Result<double> renamed_ms_p99() {
  const TempDir dir;
  chmod(dir.path().c_str(), 0755);
  const edge::GatewayConfig config{.directory = dir.path() / "gateway",
                                   .region = "us-east-1",
                                   .modules = DOMICILE_MODULES,
                                   .listen = fmt::format("127.0.0.1:{}", bench::free_port()),
                                   .listen_plain = fmt::format("127.0.0.1:{}", bench::free_port()),
                                   .application = "127.0.0.1:9",
                                   .user = "nobody nogroup",
                                   .workers = 4};
  CHECK_OK(edge::prepare(config));
  CHECK_OK(bench::put_snapshots(config.directory));
  Process nginx = TRY(Process::start(edge::start_command(config)));
  const std::string path = config.directory + "/edge.state";
  const auto obeyed = [&](std::uint64_t generation) {
    const auto state = edge::read_edge_state(path);
    return state && state->workers.size() == 4 && state->generation_obeyed() >= generation;
  };
  if (!bench::eventually([&] { return obeyed(1); })) return fail(Kind::unavailable, "nginx did not start");
  std::vector<double> times;
  for (std::uint64_t generation = 2; generation < 402; ++generation) {
    const std::string bytes = TRY(compile(bench::authority(generation)));
    const Micros start = boottime_now();
    CHECK_OK(edge::publish(config.directory + "/authority.snap", bytes));
    if (!bench::eventually([&] { return obeyed(generation); })) return fail(Kind::corrupt, "a change was never obeyed");
    Micros last = 0;
    const edge::EdgeState state = TRY(edge::read_edge_state(path));
    for (const auto& worker : state.workers) last = std::max(last, worker.obeyed_at);
    times.push_back(static_cast<double>(last - start) / 1000.0);
    usleep(5000 + generation % 7 * 3000);  // not in step with the workers' poll
  }
  std::sort(times.begin(), times.end());
  fmt::print("400 changes, 4 workers: p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms\n", times[200], times[396],
             times[399]);
  return times[396];
}

static double p99_of(const char* what, std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  const double p99 = ms[(ms.size() * 99 + 99) / 100 - 1];
  fmt::print("{}, {} changes: p50 {:.1f} ms, p99 {:.1f} ms, max {:.1f} ms\n", what, ms.size(), ms[ms.size() / 2], p99,
             ms.back());
  return p99;
}

int main() {
  const auto renamed = renamed_ms_p99();
  const auto times = renamed ? bench::authority_times(DOMICILE_BINARY)
                             : Result<bench::AuthorityTimes>(tl::unexpected<Error>(renamed.error()));
  if (!times) {
    fmt::print(stderr, "{}\n", render(times.error()));
    return 1;
  }
  const double local = p99_of("in the author's region", times->local_ms);
  const double everywhere = p99_of("in all regions", times->everywhere_ms);
  fmt::print("{{\"obeyed_ms_p99\":{:.2f},\"everywhere_ms_p99\":{:.2f},\"renamed_ms_p99\":{:.2f}}}\n", local, everywhere,
             *renamed);
  return local <= 50 && everywhere <= 300 ? 0 : 4;
}
