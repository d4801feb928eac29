(component
  (import "greenroom:processor/log@0.1.0" (instance $log))
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (component $inner (core module (func unreachable)))
  (instance $i)
  (export "greenroom:processor/processor@0.1.0" (instance $i)))
