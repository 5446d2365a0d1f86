#include "census/walk.hpp"

#include <algorithm>
#include <map>

namespace domicile::census {

namespace {

class Walker {
 public:
  Walker(const Searcher& searcher, Walk& out) : searcher_(searcher), out_(out) {}

  void place(std::size_t index, const Place& place) {
    place_ = index;
    out_.places.push_back({place.name});
    std::error_code error;
    const auto status = fs::symlink_status(place.path, error);
    if (status.type() == fs::file_type::not_found) return gap(place.path.string(), "is not there");
    // Where a person names a link, what it leads to is meant.
    const fs::path path = fs::is_symlink(status) ? fs::canonical(place.path, error) : place.path;
    if (error) return gap(place.path.string(), error.message());
    entry(path);
    for (auto& group : wal_) out_.tasks.push_back(std::move(group.second));
    wal_.clear();
  }

 private:
  PlaceCount& counts() { return out_.places[place_]; }

  void gap(const std::string& shown, const std::string& why) {
    out_.findings.unsearched({place_key(place_, shown), 0}, why);
  }

  // What a report may call it: a name that is a canary itself is told by its folder.
  std::string shown(const fs::path& path) {
    std::string name = path.string();
    while (true) {
      std::string form;
      std::size_t canary = 0;
      searcher_.each(name, name.size(), [&](std::size_t, const Needle& needle) {
        form = needle.form;
        canary = needle.canary;
      });
      if (form.empty()) return name;
      name = fs::path(name).parent_path().string() + "/(a name with a canary)";
      // The folder's own name may hold one too.
      std::string folder = fs::path(name).parent_path().string();
      bool again = false;
      searcher_.each(folder, folder.size(), [&](std::size_t, const Needle&) { again = true; });
      if (again) name = folder;
      out_.findings.hit({place_key(place_, again ? "(a folder with a canary)" : name), 0}, canary, form,
                        "name > " + form);
    }
  }

  void entry(const fs::path& path) {
    std::error_code error;
    const auto status = fs::symlink_status(path, error);
    switch (status.type()) {
      case fs::file_type::not_found:
        ++counts().vanished;
        return;
      case fs::file_type::directory:
        return folder(path);
      case fs::file_type::regular:
        return file(path);
      case fs::file_type::symlink:
        ++counts().links;
        (void)shown(path);
        (void)shown(fs::read_symlink(path, error));
        return;
      case fs::file_type::none:
        return gap(shown(path), error.message());
      default:
        ++counts().special;
        (void)shown(path);
    }
  }

  void folder(const fs::path& path) {
    std::error_code error;
    const std::string name = shown(path);
    fs::directory_iterator entries(path, error);
    if (error == std::errc::no_such_file_or_directory) {
      ++counts().vanished;
      return;
    }
    if (error) return gap(name, error.message());
    std::vector<fs::path> found;
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      if (error) break;
      found.push_back(entries->path());
    }
    if (error) gap(name, error.message());
    std::sort(found.begin(), found.end());
    for (const auto& one : found) entry(one);
  }

  void file(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    const std::string name = shown(path);
    ++counts().files;
    if (is_wal_segment(path)) {
      Task& group = wal_[path.parent_path()];
      group.kind = Task::Kind::wal;
      group.place = place_;
      group.paths.push_back(path);
      group.shown.push_back(name);
      group.size += error ? 0 : size;
      return;
    }
    out_.tasks.push_back({Task::Kind::file, place_, {path}, {name}, error ? 0 : size});
    if (path.parent_path().filename().string().starts_with("pgsql_tmp") ||
        path.parent_path().parent_path().filename() == "pgsql_tmp")
      out_.tasks.push_back({Task::Kind::tape, place_, {path}, {name}, error ? 0 : size});
  }

  const Searcher& searcher_;
  Walk& out_;
  std::size_t place_ = 0;
  std::map<fs::path, Task> wal_;
};

}  // namespace

std::string place_key(std::size_t place, const std::string& shown) { return std::to_string(place) + ":" + shown; }

Walk walk(const std::vector<Place>& places, const Searcher& searcher) {
  Walk out;
  Walker walker(searcher, out);
  for (std::size_t i = 0; i < places.size(); ++i) walker.place(i, places[i]);
  std::stable_sort(out.tasks.begin(), out.tasks.end(), [](const Task& a, const Task& b) { return a.size > b.size; });
  return out;
}

}  // namespace domicile::census
