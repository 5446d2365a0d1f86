// nginx without and with the module, by interleaved rounds. Every start of nginx has a bias of its own, so all
// instances are started anew many times and the null (two instances without it) stands beside the result; when the null
// is off, so is everything, and the result is unknown.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "site.hpp"

using namespace domicile;

namespace {

constexpr int kRestarts = 30, kRounds = 600, kBatch = 8, kWarm = 20;

struct Connection {
  Fd fd;
  explicit Connection(int port) : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fd.reset();
  }
  // One request of a kept-alive connection with an answer of 1024 bytes; false on anything else.
  bool get(std::string_view path) {
    char text[2048];
    const int size = std::snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: acme.example\r\n\r\n", path.data());
    if (write(fd.get(), text, static_cast<std::size_t>(size)) != size) return false;
    std::size_t have = 0, want = 0;
    char answer[8192];
    while (want == 0 || have < want) {
      const ssize_t n = read(fd.get(), answer + have, sizeof answer - 1 - have);
      if (n <= 0) return false;
      have += static_cast<std::size_t>(n);
      answer[have] = 0;
      if (const char* end = std::strstr(answer, "\r\n\r\n"); want == 0 && end != nullptr)
        want = static_cast<std::size_t>(end - answer) + 4 + 1024;
    }
    return have == want && std::strncmp(answer, "HTTP/1.1 200", 12) == 0;
  }
};

std::string plain_conf(const std::string& directory, const std::string& load, const std::string& main,
                       const std::string& server, int port, int application) {
  return fmt::format(
      "{}worker_processes 1; worker_cpu_affinity 01;\ndaemon off;\npid nginx.pid;\nerror_log logs/error.log "
      "error;\n{}{}"
      "events {{ worker_connections 512; }}\nhttp {{\n  access_log off; keepalive_requests 1000000;\n"
      "  client_body_temp_path run/b; proxy_temp_path run/p; fastcgi_temp_path run/f; uwsgi_temp_path run/u;\n"
      "  scgi_temp_path run/s;\n  upstream application {{ server 127.0.0.1:{}; keepalive 8; }}\n"
      "  proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;\n"
      "  server {{\n    listen 127.0.0.1:{};\n{}    location = /static {{ root {}/www; }}\n"
      "    location / {{ proxy_pass http://application; }}\n  }}\n}}\n",
      load, main, geteuid() == 0 ? "user nobody nogroup;\n" : "", application, port, server, directory);
}

struct Instance {
  int port = 0;
  std::optional<Process> process;
};

Result<Instance> start(const std::string& directory, bool with, int application) {
  Instance instance{.port = bench::free_port(), .process = {}};
  for (const char* folder : {"", "/logs", "/run", "/www"}) CHECK_OK(make_directories(directory + folder));
  if (geteuid() == 0) chmod((directory + "/run").c_str(), 0777);
  CHECK_OK(write_file(directory + "/www/static", std::string(1024, 's')));
  CHECK_OK(bench::put_snapshots(directory));
  const std::string load = with ? fmt::format("load_module {}/ngx_domicile_http.so;\n", DOMICILE_MODULES) : "";
  const std::string main = with ? fmt::format("domicile_directory {};\ndomicile_region us-east-1;\n", directory) : "";
  const std::string server = with ? "    domicile plain;\n    domicile_tenant_header X-Tenant;\n" : "";
  CHECK_OK(
      write_file(directory + "/nginx.conf", plain_conf(directory, load, main, server, instance.port, application)));
  instance.process = TRY(Process::start(
      {.argv = {"/usr/sbin/nginx", "-p", directory, "-c", directory + "/nginx.conf", "-e", "logs/error.log"},
       .directory = directory,
       .output = directory + "/logs/out"}));
  const bool up = bench::eventually([&] {
    Connection connection(instance.port);
    return connection.fd && connection.get("/static");
  });
  if (!up) return fail(Kind::unavailable, "nginx did not start: " + read_file(directory + "/logs/out").value_or(""));
  return instance;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
// The mean between the 10th and the 60th hundredth: what the machine's other work did not disturb.
double trimmed(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t i = values.size() / 10; i < values.size() * 6 / 10; ++i) sum += values[i], ++n;
  return sum / static_cast<double>(n);
}

struct Start {
  double ratio, null, added_p99_us;
};

Result<Start> rounds(const Instance (&instances)[3], const char* path, bool reversed) {
  std::vector<double> times[3];
  Connection connections[3] = {Connection(instances[0].port), Connection(instances[1].port),
                               Connection(instances[2].port)};
  for (int round = -kWarm; round < kRounds; ++round)
    for (int k = 0; k < 3; ++k) {
      const int i = (reversed ? 2 - k : k) + round + kWarm;
      timespec a, b;
      clock_gettime(CLOCK_MONOTONIC, &a);
      for (int n = 0; n < kBatch; ++n)
        if (!connections[i % 3].get(path)) return fail(Kind::failed, "a request failed");
      clock_gettime(CLOCK_MONOTONIC, &b);
      if (round >= 0)
        times[i % 3].push_back(static_cast<double>((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec) /
                               kBatch);
    }
  const auto p99 = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() * 99 / 100];
  };
  const double off = trimmed(times[0]), off2 = trimmed(times[1]), on = trimmed(times[2]);
  return Start{(off + off2) / 2 / on, off / off2, (p99(times[2]) - (p99(times[0]) + p99(times[1])) / 2) / 1000.0};
}

// All nginxes on the first processor, client and application on the second: where the kernel moves them is what two
// equal instances differ by. With one processor there is nothing to choose.
void leave_first_processor() {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2) return;
  CPU_CLR(0, &all);
  (void)sched_setaffinity(0, sizeof all, &all);
}

Result<int> measure() {
  leave_first_processor();
  HttpServer application = TRY(HttpServer::start(
      {.host = "127.0.0.1", .threads = 8}, [](const HttpCall&) { return HttpReply{.body = std::string(1024, 'a')}; }));
  std::vector<double> ratio, null, fixed, added;
  for (int i = 0; i < kRestarts; ++i) {
    const TempDir dir;
    chmod(dir.path().c_str(), 0755);
    Instance instances[3];
    for (int k = 0; k < 3; ++k) {
      const int which = i % 2 ? 2 - k : k;  // also started in both orders
      instances[which] = TRY(start(dir.path() / std::to_string(which), which == 2, application.port()));
    }
    const Start proxied = TRY(rounds(instances, "/", i % 2));
    const Start from_file = TRY(rounds(instances, "/static", i % 2));
    ratio.push_back(proxied.ratio), null.push_back(proxied.null), added.push_back(proxied.added_p99_us);
    fixed.push_back(from_file.ratio);
    fmt::print("start {}: proxied {:.3f}, null {:.3f}, static {:.3f}\n", i, proxied.ratio, proxied.null,
               from_file.ratio);
  }
  const double result = median(ratio), off = median(null);
  const bool known = std::abs(off - 1) <= 0.005;
  if (!known) fmt::print("unknown: two instances without the module differ by more than 0.5 %\n");
  fmt::print("{{\"ratio\":{},\"null\":{:.4f},\"static_ratio\":{:.3f},\"p99_added_us\":{:.1f},\"restarts\":{}}}\n",
             known ? fmt::format("{:.4f}", result) : "\"unknown\"", off, median(fixed), median(added), kRestarts);
  return known && result >= 0.98 ? 0 : 4;
}

}  // namespace

int main() {
  const auto code = measure();
  if (!code) fmt::print(stderr, "{}\n", render(code.error()));
  return code ? *code : 1;
}
