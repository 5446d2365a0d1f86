// scripts/setup leaves the services of a machine as they were. apt and systemd are stand-ins here.
#include <gtest/gtest.h>

#include "base/file.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"

namespace domicile {
namespace {

const fs::path kScript = fs::path(DOMICILE_SOURCE) / "scripts/setup";
const char* const kMark = "# made by the setup of Domicile while it installs packages; may be removed\n";

class Setup : public testing::Test {
 protected:
  Setup() {
    for (const char* folder : {"bin", "usr/sbin", "etc", "units"}) must(make_directories(path(folder)));
    stub("systemctl", "unit=" + path("units").string() +
                          "/$2\n"
                          "case $1 in\n"
                          "  is-enabled) [ -e $unit ] && cat $unit || { echo \"no unit $2\" >&2; exit 1; } ;;\n"
                          "  disable) echo disabled > $unit ;;\n"
                          "esac\n");
    // What Debian's packages do: enable, and make a cluster where createcluster.conf does not say otherwise.
    stub("apt-get",
         "[ $1 = install ] || exit 0\n"
         "cp " +
             policy().string() + " " + path("seen-policy").string() +
             " 2>/dev/null\n"
             "for unit in nginx etcd postgresql; do echo enabled > " +
             path("units").string() + "/$unit; done\n");
  }
  static void must(const Result<void>& done) { ASSERT_TRUE(done) << render(done.error()); }
  void stub(const std::string& name, const std::string& text) {
    must(write_file(path("bin") / name, "#!/bin/sh\n" + text, 0755));
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  fs::path policy() const { return path("usr/sbin/policy-rc.d"); }
  std::string unit(const char* name) const { return read_file(path("units") / name).value_or("none"); }
  void bash(const std::string& words) {
    Command command{{"/bin/bash", "-c", "source " + kScript.string() + "; " + words}};
    command.env = {{"PATH", path("bin").string() + ":/usr/bin:/bin"}, {"DOMICILE_SETUP_ROOT", folder_.path().string()}};
    const auto ran = run(command, 20 * kSecond);
    ASSERT_TRUE(ran);
    ASSERT_EQ(ran->exit_code, 0) << ran->out << ran->err;
  }
  TempDir folder_;
};

TEST_F(Setup, DisablesNewServicesAndNoneThatWasThereBefore) {
  must(write_file(path("units") / "postgresql", "enabled\n"));  // of PostgreSQL 13, say
  bash("install_packages nginx etcd-server postgresql-15");
  EXPECT_EQ(unit("postgresql"), "enabled\n");
  EXPECT_EQ(unit("nginx"), "disabled\n");
  EXPECT_EQ(unit("etcd"), "disabled\n");
  EXPECT_NE(read_file(path("seen-policy")).value_or("").find("exit 101"), std::string::npos)
      << "nothing starts meanwhile";
  EXPECT_FALSE(fs::exists(policy())) << "and afterwards everything may";
}

TEST_F(Setup, AClusterThatThePackageMadeStartsOnlyByHand) {
  must(make_directories(path("etc/postgresql/13/main")));
  must(write_file(path("etc/postgresql/13/main/start.conf"), "auto\n"));
  const std::string main15 = path("etc/postgresql/15/main").string();
  stub("apt-get", "[ $1 = install ] && mkdir -p " + main15 + " && echo auto > " + main15 + "/start.conf\nexit 0\n");
  bash("install_packages postgresql-15");
  EXPECT_EQ(read_file(path("etc/postgresql/15/main/start.conf")).value_or(""), "manual\n");
  EXPECT_EQ(read_file(path("etc/postgresql/13/main/start.conf")).value_or(""), "auto\n");
  must(write_file(path("etc/postgresql/15/main/start.conf"), "auto\n"));
  bash("install_packages postgresql-15");
  EXPECT_EQ(read_file(path("etc/postgresql/15/main/start.conf")).value_or(""), "auto\n") << "that one is somebody's";
}

TEST_F(Setup, RemovesThePolicyThatAKilledSetupLeftAndNoOther) {
  must(write_file(policy(), std::string("#!/bin/sh\n") + kMark + "exit 101\n", 0755));
  bash("remove_leftover");
  EXPECT_FALSE(fs::exists(policy())) << "of a version that told no pid";
  must(write_file(policy(), std::string("#!/bin/sh\n") + kMark + "# pid 4194305\nexit 101\n", 0755));
  bash("remove_leftover");
  EXPECT_FALSE(fs::exists(policy())) << "its setup is gone";
  must(write_file(policy(), "#!/bin/sh\nexit 101\n", 0755));
  bash("remove_leftover; install_packages nginx");
  EXPECT_TRUE(fs::exists(policy())) << "the machine's own";
}

}  // namespace
}  // namespace domicile
