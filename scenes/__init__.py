"""Making, converting and inspecting scenes; runs from the checkout."""
