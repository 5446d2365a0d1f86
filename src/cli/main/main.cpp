#include <unistd.h>

#include <iostream>

#include "cli/registry.hpp"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  domicile::cli::Io io{std::cout, std::cerr, isatty(STDOUT_FILENO) == 1,
                       isatty(STDIN_FILENO) == 1 ? &std::cin : nullptr};
  return static_cast<int>(domicile::cli::dispatch(domicile::cli::verbs(), arguments, io));
}
