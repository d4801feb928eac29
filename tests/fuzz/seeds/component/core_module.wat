(component
  (core module $m
    (memory (export "memory") 1)
    (table 4 funcref)
    (global (mut i32) (i32.const 0))
    (func (export "f") (param i32) (result i32)
      (loop $again (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 0))
    (data (i32.const 8) "hello"))
  (core instance $i (instantiate $m))
  (func (export "f") (param "x" s32) (result s32) (canon lift (core func $i "f"))))
