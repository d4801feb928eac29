(component
  (instance $i)
  (export "greenroom:processor/processor@0.1.0" (instance $i)))
