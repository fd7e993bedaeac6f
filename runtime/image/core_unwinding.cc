// core_unwinding.cc: threads that CPython ends while they are below a function of the core.
//
// CPython before 3.14 ends a thread that wants the GIL of an ending interpreter by pthread_exit,
// which unwinds its stack: a daemon thread of the user whose pickling or handler of log records is
// called from here, too. What unwinds is libgcc_s, and the tables it would need of frames of the
// core are in the libgcc that is linked into it (docs/decisions/0009-start-up.md): that aborts.
// With the shared one, destructors would drop references without the GIL, and abort where the
// unwinding passes one of them. So such a thread sleeps in its first frame of the core that had
// something to clean up, as it would in CPython 3.14, until the process is gone.
#include <unistd.h>
#include <unwind.h>

// Linked in place of each other by `--wrap` (runtime/CMakeLists.txt): what libstdc++ has for frames
// of C++, and what the unwinder calls for those of the core.
extern "C" _Unwind_Reason_Code libstdcxx_personality(
    int version, _Unwind_Action actions, _Unwind_Exception_Class kind, _Unwind_Exception* exception,
    _Unwind_Context* context) __asm__("__real___gxx_personality_v0");
extern "C" [[gnu::visibility("hidden")]] _Unwind_Reason_Code core_personality(
    int version, _Unwind_Action actions, _Unwind_Exception_Class kind, _Unwind_Exception* exception,
    _Unwind_Context* context) __asm__("__wrap___gxx_personality_v0");

_Unwind_Reason_Code core_personality(int version, _Unwind_Action actions,
                                     _Unwind_Exception_Class kind, _Unwind_Exception* exception,
                                     _Unwind_Context* context) {
  while ((actions & _UA_FORCE_UNWIND) != 0) pause();
  return libstdcxx_personality(version, actions, kind, exception, context);
}
