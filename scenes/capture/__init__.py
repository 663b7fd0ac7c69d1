"""Film your room: from RGB-D frames, photographs or a film to a building that an agent walks in.

    python -m scenes.capture <folder or film> --out my_room

| stage | holds | gates |
|---|---|---|
| ``1_frames`` | the pictures chosen, depth as 16-bit PNG in mm, ``frames.json`` | light, blur, movement |
| ``2_poses`` | ``transforms.json`` (nerfstudio's form), COLMAP's text files | registered, parallax, fit |
| ``3_depth`` | a depth map for each camera | scale, pixels filled |
| ``4_upright`` | the same cameras where up is +Y and the floor y = 0 | gravity, floor, scale known |
| ``5_surface`` | the fused mesh, its pieces numbered in a picture | size, which way it faces |
| ``6_names`` | which faces are which thing: by a detector, by hand | names |
| ``7_building`` | ``room.glb``: completed floor and walls, named things | floor seen |
| ``8_certificate`` | what an agent can do in it | room to walk, episodes |

``--what object`` goes on after the third with ``4_object``: ``object.glb`` and ``transforms.json``, its
cameras, for next-best-view.

Each stage reads the folders before it and nothing else: it can be looked at, made again (``--from``), or
replaced by files of the same form. ``scenes="my_room"`` opens the building; ``report.html`` has every gate
and its picture.
"""
