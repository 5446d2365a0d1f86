// How many writes a second the machine has room for. Clients and regions share its processors in a lab: at a rate that
// takes all of them a drill would show the machine, not what it runs.
#pragma once
#include "drill/drills.hpp"

namespace domicile::drill {

// Processor time since the machine started, of all processors, in the kernel's ticks.
struct ProcessorTime {
  std::uint64_t idle = 0, all = 0;
};
// `stat`: the text of /proc/stat (man 5 proc_stat). Time that waits for a disk is idle too.
Result<ProcessorTime> processor_time(std::string_view stat);
// Share of the time between the two that was idle, 0 to 1.
double idle_share(const ProcessorTime& before, const ProcessorTime& after);

// The drill's own rate, a half or a quarter of it: the first that is served promptly and leaves processors idle. Says
// what each left. Where even a quarter does not, that one: the drill tells what comes of it.
Result<double> rate_with_room(const Field& field, const DrillSpec& spec, const Talk& talk);

}  // namespace domicile::drill
