#include "census/census.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/clock.hpp"
#include "census/walk.hpp"

namespace domicile::census {

namespace {

OpenSource open(const Task& task) {
  std::vector<std::string> keys;
  for (const auto& shown : task.shown) keys.push_back(place_key(task.place, shown));
  if (task.kind == Task::Kind::wal) return open_wal(task.paths, keys);
  return task.kind == Task::Kind::tape ? open_tape(task.paths[0], keys[0]) : open_file(task.paths[0], keys[0]);
}

// What one thread found; put together at the end.
struct Share {
  Findings findings;
  std::vector<std::uint64_t> bytes, vanished;  // by place
};

void work(const Task& task, const Searcher& searcher, const Limits& limits, Share& share) {
  const Origin whole{place_key(task.place, task.shown[0]), 0};
  try {
    auto source = open(task);
    if (!source) return share.findings.unsearched(whole, one_line(source.error()));
    if (!*source) {
      if (task.kind == Task::Kind::file) ++share.vanished[task.place];
      return;
    }
    const auto before = share.findings.searched;
    scan(**source, searcher, limits, share.findings);
    // A tape is a second look at bytes that were counted.
    if (task.kind == Task::Kind::tape) share.findings.searched = before;
    share.bytes[task.place] += share.findings.searched - before;
  } catch (const std::exception& e) {  // of the standard library: no memory
    share.findings.unsearched(whole, e.what());
  }
}

void merge(const Findings& from, Findings& into) {
  const auto add = [](const auto& part, auto& all) {
    for (const auto& entry : part) {
      auto& first = all[entry.first];
      first.offset = first.count == 0 ? entry.second.offset : std::min(first.offset, entry.second.offset);
      first.count += entry.second.count;
    }
  };
  add(from.hits, into.hits);
  add(from.gaps, into.gaps);
  into.searched += from.searched;
  into.decoded += from.decoded;
}

std::vector<Share> work_all(const std::vector<Task>& tasks, std::size_t places, const Searcher& searcher,
                            const Limits& limits) {
  const unsigned processors = limits.threads != 0 ? limits.threads : std::max(1U, std::thread::hardware_concurrency());
  std::vector<Share> shares(processors);
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> threads;
  for (Share& share : shares) {
    share.bytes.assign(places, 0);
    share.vanished.assign(places, 0);
    threads.emplace_back([&] {
      for (std::size_t i; (i = next++) < tasks.size();) work(tasks[i], searcher, limits, share);
    });
  }
  return threads.clear(), shares;
}

// The reverse of place_key.
std::pair<std::size_t, std::string> split_key(const std::string& key) {
  const auto colon = key.find(':');
  return {std::stoul(key.substr(0, colon)), key.substr(colon + 1)};
}

void tell(const Findings& findings, const std::vector<Place>& places, const std::vector<Canary>& canaries,
          Report& report) {
  for (const auto& entry : findings.hits) {
    const auto& key = entry.first;
    const auto [place, file] = split_key(std::get<0>(key));
    report.hits.push_back({places[place].name, file, entry.second.offset, canaries[std::get<1>(key)].id,
                           std::get<2>(key), std::get<3>(key), entry.second.count});
  }
  for (const auto& entry : findings.gaps) {
    const auto [place, file] = split_key(entry.first.first);
    report.unsearched.push_back(
        {places[place].name, file, entry.second.offset, entry.first.second, entry.second.count});
  }
  report.searched_bytes = findings.searched;
  report.decoded_bytes = findings.decoded;
}

}  // namespace

Report census(const std::vector<Place>& places, const std::vector<Canary>& canaries, const Limits& limits) {
  const Micros began = monotonic_now();
  const Searcher searcher(needles(canaries));
  Walk found = walk(places, searcher);
  Report report;
  for (const Canary& canary : canaries) report.canaries.push_back(canary.id);
  report.places = std::move(found.places);
  Findings all = std::move(found.findings);
  for (const Share& share : work_all(found.tasks, places.size(), searcher, limits)) {
    merge(share.findings, all);
    for (std::size_t i = 0; i < places.size(); ++i) {
      report.places[i].bytes += share.bytes[i];
      report.places[i].vanished += share.vanished[i];
    }
  }
  tell(all, places, canaries, report);
  report.seconds = static_cast<double>(monotonic_now() - began) / kSecond;
  return report;
}

Json to_json(const Report& report) {
  Json places = Json::array(), hits = Json::array(), unsearched = Json::array();
  for (const auto& place : report.places)
    places.push_back({{"name", place.name},
                      {"bytes", place.bytes},
                      {"files", place.files},
                      {"vanished", place.vanished},
                      {"special", place.special},
                      {"links", place.links}});
  for (const auto& hit : report.hits)
    hits.push_back({{"place", hit.place},
                    {"file", hit.file},
                    {"offset", hit.offset},
                    {"canary", hit.canary},
                    {"form", hit.form},
                    {"chain", hit.chain},
                    {"count", hit.count}});
  for (const auto& gap : report.unsearched)
    unsearched.push_back(
        {{"place", gap.place}, {"file", gap.file}, {"offset", gap.offset}, {"why", gap.why}, {"count", gap.count}});
  return {{"clean", report.clean()},
          {"searched_bytes", report.searched_bytes},
          {"decoded_bytes", report.decoded_bytes},
          {"seconds", report.seconds},
          {"canaries", report.canaries},
          {"places", places},
          {"hits", hits},
          {"unsearched", unsearched}};
}

}  // namespace domicile::census
